/** A kind with defaults, limits and printer columns, as an operator would define it. */
export const WIDGETS = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: widgets.example.dev }
spec:
  group: example.dev
  scope: Namespaced
  names: { plural: widgets, kind: Widget, shortNames: [wd], categories: [all] }
  versions:
    - name: v1
      served: true
      storage: true
      subresources: { status: {} }
      additionalPrinterColumns:
        - { name: Phase, type: string, jsonPath: .status.phase }
        - { name: Size, type: integer, jsonPath: .spec.size, priority: 1 }
        - { name: Age, type: date, jsonPath: .metadata.creationTimestamp }
      schema:
        openAPIV3Schema:
          type: object
          description: A widget of the test
          required: [spec]
          properties:
            spec:
              type: object
              description: What the widget should be
              properties:
                size: { type: integer, minimum: 1, maximum: 6, default: 3, description: How large it is }
                color: { type: string, enum: [red, blue] }
            status:
              type: object
              properties:
                phase: { type: string }
                conditions: { type: array, items: { type: object, properties: { type: { type: string }, status: { type: string } } } }
`;

export const widget = (name: string, spec: string): string =>
  `{apiVersion: example.dev/v1, kind: Widget, metadata: {name: ${name}}, spec: ${spec}}`;

/** A pod whose container says what its sidecar has left for it, which then ends once. */
export const SIDECAR = JSON.stringify({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'helped' },
  spec: {
    terminationGracePeriodSeconds: 5,
    initContainers: [
      {
        name: 'helper',
        image: 'test/any:1',
        restartPolicy: 'Always',
        command: [
          process.execPath,
          '-e',
          `const { FILE } = process.env, fs = require('node:fs'); const again = fs.existsSync(FILE); fs.writeFileSync(FILE, 'help');
           setTimeout(() => { if (!again) process.exit(1); }, 1500); setInterval(() => {}, 1000);`,
        ],
        env: [{ name: 'FILE', value: '/shared/file' }],
        volumeMounts: [{ name: 'shared', mountPath: '/shared' }],
      },
    ],
    containers: [
      {
        name: 'main',
        image: 'test/any:1',
        command: [
          process.execPath,
          '-e',
          `const { FILE } = process.env, fs = require('node:fs');
           const wait = setInterval(() => { if (fs.existsSync(FILE)) { console.log(fs.readFileSync(FILE, 'utf8')); clearInterval(wait); } }, 50);
           setInterval(() => {}, 1000);`,
        ],
        env: [{ name: 'FILE', value: '/shared/file' }],
        volumeMounts: [{ name: 'shared', mountPath: '/shared' }],
      },
    ],
    volumes: [{ name: 'shared', emptyDir: {} }],
  },
});

/** A web pod with a disk that is made for it. */
export const SCRATCH = `
apiVersion: v1
kind: Pod
metadata: { name: scratch }
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: web
      image: test/web:1
      env:
        - { name: POD_IP, valueFrom: { fieldRef: { fieldPath: status.podIP } } }
        - { name: DATA_DIR, value: /data }
      readinessProbe: { httpGet: { path: /, port: 8080 }, periodSeconds: 1 }
      volumeMounts: [{ name: data, mountPath: /data }]
  volumes:
    - name: data
      ephemeral:
        volumeClaimTemplate:
          metadata: { labels: { of: scratch } }
          spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } }
`;

/** Two web pods behind a Service and a headless one, with a disk each and a password from a Secret. */
export const WEB = `
apiVersion: v1
kind: Secret
metadata: { name: login }
stringData: { password: hunter2 }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ name: http, port: 8088, targetPort: http }] }
---
apiVersion: v1
kind: Service
metadata: { name: peers }
spec: { clusterIP: None, publishNotReadyAddresses: true, selector: { app: web }, ports: [{ name: http, port: 8080 }] }
${['web-0', 'web-1']
  .map(
    (name, index) => `---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: ${name} }
spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } }
---
apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { app: web } }
spec:
  hostname: ${name}
  subdomain: peers
  terminationGracePeriodSeconds: 5
  nodeSelector: { topology.kubernetes.io/zone: ${index === 0 ? 'zone-a' : 'zone-b'} }
  containers:
    - name: web
      image: test/web:1
      terminationMessagePolicy: FallbackToLogsOnError
      env:
        - { name: POD_NAME, valueFrom: { fieldRef: { fieldPath: metadata.name } } }
        - { name: POD_IP, valueFrom: { fieldRef: { fieldPath: status.podIP } } }
        - { name: DATA_DIR, value: /data }
        - { name: PASSWORD_FILE, value: /etc/login/password }
      ports: [{ name: http, containerPort: 8080 }]
      readinessProbe: { httpGet: { path: /, port: http }, periodSeconds: 1 }
      volumeMounts: [{ name: data, mountPath: /data }, { name: login, mountPath: /etc/login }]
  volumes:
    - { name: data, persistentVolumeClaim: { claimName: ${name} } }
    - { name: login, secret: { secretName: login } }
`,
  )
  .join('')}`;
