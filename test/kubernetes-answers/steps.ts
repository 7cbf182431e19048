/**
 * What is asked of a real API server and of local-kube alike, in this order, in a namespace of its own. kubectl is what
 * people use, so most steps are kubectl commands; its answer is what it prints, or the object as JSON.
 */
export interface Step {
  readonly name: string;
  /** Arguments of kubectl. */
  readonly kubectl: readonly string[];
  /** For its standard input. */
  readonly input?: string;
  /** Repeated until it prints this: what controllers do takes its time. */
  readonly until?: RegExp;
  /** Only prepares later steps; its answer is not compared. */
  readonly quiet?: true;
}

const words = (text: string): string[] => text.split(' ');
const run = (command: string, more: Partial<Step> = {}): Step => ({ name: command, kubectl: words(command), ...more });
const apply = (name: string, manifest: string, more: Partial<Step> = {}): Step => ({
  name: `apply ${name}`,
  kubectl: ['apply', '-f', '-'],
  input: manifest,
  ...more,
});
const json = (what: string, more: Partial<Step> = {}): Step => ({ ...run(`get ${what} -o json`), ...more });
const patch = (what: string, type: string, body: object | string, more: Partial<Step> = {}): Step => {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return { name: `patch ${what} ${type} ${text}`, kubectl: ['patch', ...words(what), `--type=${type}`, '-p', text], ...more };
};
/** What a kubelet would say. */
const ready = (pod: string, status: 'True' | 'False' = 'True'): Step =>
  patch(
    `pod ${pod} --subresource=status`,
    'merge',
    { status: { phase: 'Running', conditions: [{ type: 'Ready', status, lastTransitionTime: '2026-01-01T00:00:00Z' }] } },
    { quiet: true },
  );

const pod = (name: string, app: string, owner = ''): string => `
apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { app: ${app} }${owner} }
spec:
  nodeName: empty-node
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  containers: [{ name: web, image: "example.dev/web:1" }]
`;
const scratch = (template: string): string =>
  `{apiVersion: v1, kind: Pod, metadata: {name: scratch}, spec: {containers: [{name: c, image: x}], volumes: [{name: data, ephemeral: {volumeClaimTemplate: {${template}}}}]}}`;
const widgets = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: widgets.example.dev }
spec:
  group: example.dev
  names: { kind: Widget, plural: widgets, singular: widget, shortNames: [wd] }
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      subresources: { status: {}, scale: { specReplicasPath: .spec.size, statusReplicasPath: .status.size } }
      additionalPrinterColumns:
        - { name: Size, type: integer, jsonPath: .spec.size }
        - { name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status' }
      schema:
        openAPIV3Schema:
          type: object
          required: [spec]
          properties:
            spec:
              type: object
              required: [size]
              properties:
                size: { type: integer, minimum: 1, maximum: 6 }
                color: { type: string, enum: [red, blue], default: red }
                code: { type: string, pattern: '^[a-z]+$', maxLength: 4 }
            status:
              type: object
              properties:
                size: { type: integer }
                conditions: { type: array, items: { type: object, properties: { type: { type: string }, status: { type: string } } } }
`;
/** The same without a scale subresource: its pods cannot be counted. */
const parts = widgets
  .replaceAll('widget', 'gadget')
  .replaceAll('Widget', 'Gadget')
  .replace('[wd]', '[gd]')
  .replace(/, scale: \{.*?\} \}/, ' }');
const widget = (kind: string, name: string, spec: string): string =>
  `{apiVersion: example.dev/v1, kind: ${kind}, metadata: {name: ${name}}, spec: ${spec}}`;

export const STEPS: readonly Step[] = [
  apply('a node', '{apiVersion: v1, kind: Node, metadata: {name: empty-node}}', { quiet: true }),

  // What kubectl create makes; its bodies are protobuf.
  run('create role reader --verb=get,list --resource=pods,deployments.apps --resource-name=a'),
  json('role reader'),
  run('create clusterrole answers-all --verb=* --resource=nodes'),
  json('clusterrole answers-all'),
  run('create clusterrole answers-url --verb=get --non-resource-url=/healthz'),
  json('clusterrole answers-url'),
  run('create rolebinding readers --role=reader --user=jane --group=team --serviceaccount=answers:default'),
  json('rolebinding readers'),
  run('create clusterrolebinding answers-all --clusterrole=answers-all --user=jane'),
  json('clusterrolebinding answers-all'),
  run('create pdb least --selector=app=none --min-available=1'),
  json('pdb least', { until: /observedGeneration/ }),
  run('create pdb most --selector=app=none --max-unavailable=50%'),
  json('pdb most', { until: /observedGeneration/ }),
  run('create service clusterip plain --tcp=80:8080 --tcp=81'),
  json('service plain'),
  run('create service clusterip headless --clusterip=None --tcp=80'),
  json('service headless'),
  run('create service externalname outside --external-name=example.dev'),
  json('service outside'),
  run('create configmap words --from-literal=a=b'),
  json('configmap words'),
  run('create secret generic login --from-literal=password=hunter2'),
  json('secret login'),
  run('create serviceaccount robot'),
  json('serviceaccount robot'),
  run('create priorityclass answers-high --value=1000'),
  json('priorityclass answers-high'),
  run('auth can-i create deployments.apps'),

  // Deployments and their scale. Nothing runs the pods.
  run('create deployment shop --image=example.dev/shop:1 --replicas=2'),
  run('get deployment shop -o jsonpath={.status.unavailableReplicas}', { until: /^2$/ }),
  json('deployment shop'),
  json('replicaset -l app=shop', { until: /"replicas": 2,?\s+\}\s+\}/ }),
  run('get deployment,replicaset -o wide'),
  run('scale deployment shop --replicas=3'),
  run('scale deployment shop --replicas=1 --current-replicas=2'),
  run('get --raw /apis/apps/v1/namespaces/answers/deployments/shop/scale', { until: /"status":\{"replicas":3/ }),
  run('scale deployment shop --replicas=0'),
  run('get replicaset -l app=shop -o jsonpath={.items[*].status.replicas}', { until: /^0$/ }),
  patch('deployment shop', 'merge', { spec: { selector: { matchLabels: { app: 'other' } } } }),
  patch('deployment shop', 'merge', { spec: { replicas: -1 } }),
  patch('deployment shop', 'merge', { spec: { template: { metadata: { labels: null } } } }),
  patch('deployment shop', 'strategic', {
    spec: { template: { spec: { containers: [{ name: 'shop', env: [{ name: 'A', value: 'b' }] }] } } },
  }),
  run('rollout history deployment shop', { until: /^2 /m }),
  run('rollout undo deployment shop'),
  run('get replicaset -l app=shop -o name --sort-by=.metadata.creationTimestamp'),
  apply(
    'a deployment without a selector',
    '{apiVersion: apps/v1, kind: Deployment, metadata: {name: bad}, spec: {template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: x}]}}}}',
  ),
  apply(
    'a deployment that selects others',
    '{apiVersion: apps/v1, kind: Deployment, metadata: {name: bad}, spec: {selector: {matchLabels: {a: c}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: x}]}}}}',
  ),

  // Selectors.
  run('get pods --field-selector=status.phase=Running'),
  run('get pods --field-selector=spec.color=red'),
  run('get configmaps --field-selector=data.a=b'),
  run('get configmaps --field-selector=metadata.name=words -o name'),
  run('get nodes --field-selector=spec.unschedulable=false -o name', { quiet: true }),
  run('get nodes --field-selector=metadata.namespace=x'),
  run('get secrets --field-selector=type=Opaque -o name'),
  run('get services --field-selector=spec.type=ExternalName -o name'),
  run('get pods --field-selector=status'),
  run('get pods -l a=b=c'),

  // Patches of all kinds, good and bad.
  patch('configmap words', 'json', [{ op: 'add', path: '/data/c~1d', value: 'e' }]),
  run('get configmap words -o jsonpath={.data}'),
  patch('configmap words', 'json', [{ op: 'test', path: '/data/a', value: 'z' }]),
  patch('configmap words', 'json', [{ op: 'remove', path: '/data/none' }]),
  patch('configmap words', 'merge', { data: { a: null, n: 'm' } }),
  run('get configmap words -o jsonpath={.data}'),
  patch('configmap words', 'merge', { data: { a: 1 } }),
  patch('configmap words', 'merge', { colour: 'red' }),
  patch('service plain', 'strategic', { spec: { ports: [{ port: 81, $patch: 'delete' }] } }),
  run('get service plain -o jsonpath={.spec.ports[*].port}'),
  patch('service plain', 'merge', { spec: { clusterIP: '10.1.2.3' } }),

  // Refusals.
  run('get configmap none'),
  run('delete configmap none'),
  run('create configmap words'),
  run('create configmap Bad_Name'),
  run('create configmap lonely --namespace=answers-none'),
  apply('an unknown field', '{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, colour: red}'),
  apply('a wrong type', '{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, data: {a: [b]}}'),
  apply('a bad label', '{apiVersion: v1, kind: ConfigMap, metadata: {name: x, labels: {a: "b c"}}}'),
  apply('a pod without containers', '{apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {containers: []}}'),
  apply(
    'a mount of no volume',
    '{apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {containers: [{name: c, image: x, volumeMounts: [{name: v, mountPath: /v}]}]}}',
  ),
  run('get widgets'),

  // Custom kinds.
  apply('a definition', widgets, { quiet: true }),
  apply('a definition without scale', parts, { quiet: true }),
  run('wait --for=condition=Established crd/widgets.example.dev crd/gadgets.example.dev --timeout=20s', { quiet: true }),
  run('get widgets', { until: /No resources/ }),
  run('get gadgets', { until: /No resources/, quiet: true }),
  apply('a widget', widget('Widget', 'one', '{size: 3}'), { until: /created|unchanged/, quiet: true }),
  json('widget one'),
  run('scale widget one --replicas=4'),
  run('get widget one -o jsonpath={.spec}'),
  run('scale gadget one --replicas=4'),
  apply('a widget that is too large', widget('Widget', 'two', '{size: 7}')),
  apply('a widget of no known color', widget('Widget', 'two', '{size: 1, color: green}')),
  apply('a widget with a bad code', widget('Widget', 'two', '{size: 1, code: ABCDE}')),
  apply('a widget without a size', widget('Widget', 'two', '{color: red}')),
  apply('a widget with an unknown field', widget('Widget', 'two', '{size: 1, shape: round}')),
  run('get widgets --field-selector=spec.color=red'),
  patch('widget one --subresource=status', 'merge', { status: { conditions: [{ type: 'Ready', status: 'True' }] } }),
  run('get widgets'),

  // Disruption budgets: pods of a kind with a scale, of one without, of none.
  apply('a gadget', widget('Gadget', 'one', '{size: 3}'), { quiet: true }),
  ...['widget', 'gadget'].flatMap((kind): Step[] => [
    { ...run(`get ${kind} one -o jsonpath={.metadata.uid}`), name: `uid of ${kind}`, quiet: true },
    ...[0, 1, 2].map((index) =>
      apply(
        `${kind}-${index}`,
        pod(
          `${kind}-${index}`,
          kind,
          `, ownerReferences: [{ apiVersion: example.dev/v1, kind: ${kind === 'widget' ? 'Widget' : 'Gadget'}, name: one, uid: $UID, controller: true }]`,
        ),
        { quiet: true },
      ),
    ),
    ...[0, 1, 2].map((index) => ready(`${kind}-${index}`)),
    run(`create pdb ${kind} --selector=app=${kind} --max-unavailable=2`),
    json(`pdb ${kind}`, { until: kind === 'widget' ? /"currentHealthy": 3/ : /SyncFailed/ }),
    evict(`${kind}-0`),
    run(`delete pdb ${kind}`),
    run(`create pdb ${kind} --selector=app=${kind} --min-available=2`),
    json(`pdb ${kind}`, { until: kind === 'widget' ? /"currentHealthy": 2/ : /"currentHealthy": 3/ }),
    evict(`${kind}-1`),
    json(`pdb ${kind}`, { until: kind === 'widget' ? /"currentHealthy": 2/ : /"currentHealthy": 2/ }),
    evict(`${kind}-2`),
  ]),
  apply('a pod of nobody', pod('lonely', 'lonely'), { quiet: true }),
  ready('lonely'),
  run('create pdb lonely --selector=app=lonely --max-unavailable=1'),
  json('pdb lonely', { until: /"currentHealthy": 1/ }),
  evict('lonely'),
  ready('lonely', 'False'),
  run('create pdb lonely-too --selector=app=lonely --min-available=0'),
  json('pdb lonely-too', { until: /observedGeneration/, quiet: true }),
  evict('lonely'),
  run('get pdb'),

  // Generic ephemeral volumes: a claim of its own, of a class that is not there.
  apply(
    'a volume that is made for its pod',
    scratch(
      'metadata: {labels: {of: scratch}}, spec: {storageClassName: none, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}',
    ),
    { quiet: true },
  ),
  run('get pod scratch -o jsonpath={.spec.volumes[0]}'),
  json('pvc scratch-data', { until: /"phase": "Pending"/ }),
  run('get pvc scratch-data -o jsonpath={.metadata.ownerReferences[0].uid}', { until: /./ }),
  run(`get events --field-selector=involvedObject.name=scratch-data -o jsonpath={.items[0].type},{.items[0].reason},{.items[0].message}`, {
    until: /,/,
  }),
  run(
    'get pod scratch -o jsonpath={.status.phase},{.status.conditions[0].type},{.status.conditions[0].status},{.status.conditions[0].reason}',
    {
      until: /Unschedulable/,
    },
  ),
  apply('a volume that is made of nothing', scratch('').replaceAll('scratch', 'bad').replace('volumeClaimTemplate: {}', '')),
  apply('a volume that says nothing of its claim', scratch('').replaceAll('scratch', 'bad')),
  apply(
    'a volume that names its claim',
    scratch('metadata: {name: x}, spec: {accessModes: [], resources: {requests: {storage: 1Gi}}}').replaceAll('scratch', 'bad'),
  ),
  apply('a claim of nothing', '{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: bad}, spec: {}}'),
  run('delete pod scratch --grace-period=0 --force'),
  run('get pvc', { until: /No resources/ }),
];

function evict(name: string): Step {
  return {
    name: `evict ${name}`,
    kubectl: ['create', '--raw', `/api/v1/namespaces/answers/pods/${name}/eviction`, '-f', '-'],
    input: JSON.stringify({ apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace: 'answers' } }),
  };
}
