import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { labels, startOptions } from './image-config.ts';
import { IMAGES, type ImageName, type ImageSpec } from './image-table.ts';
import { ownVersion, REPOSITORY } from './packages.ts';

/** Where the build runs: Debian 12, for its C library and compiler; Node, for starting it. Its digest is that of all architectures. */
const BUILD_IMAGE = 'docker.io/library/node:24.21.0-bookworm@sha256:6dac556d980b7f0e5498d08f08cee0ca67798b4ad6c23964a9214920e67758d0';

export function dockerfilePath(name: ImageName): string {
  return join(REPOSITORY, 'deploy/images', name, 'Dockerfile');
}

/**
 * The Dockerfile of an image. What is in the image is made by `npm run images -- root`, from the same table as the
 * build without a container engine; here is only how it is started.
 */
export function dockerfile(image: ImageSpec): string {
  const { user, env, entrypoint, ports } = startOptions(image);
  const version = ownVersion();
  const { 'org.opencontainers.image.created': _created, ...fixed } = labels(image, { version, revision: '${REVISION}', epoch: 0 });
  const said = Object.entries(fixed).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  const copied = ['runtime', ...(image.postgres ? ['postgres'] : []), 'program'];
  return `# ${image.title}. Generated from ../src/image-table.ts: change that, then \`npm run images -- dockerfiles\`.
# From the repository's root:
#   docker build --file deploy/images/${image.name}/Dockerfile --tag kube-aurora/${image.name}:${version} .
#   buildah build --file deploy/images/${image.name}/Dockerfile --tag kube-aurora/${image.name}:${version} .
ARG BUILD_IMAGE=${BUILD_IMAGE}
FROM \${BUILD_IMAGE} AS build
ARG REVISION=unknown
ARG SOURCE_DATE_EPOCH=0
WORKDIR /source
COPY . .
RUN npm run images -- root --image ${image.name} --output /image --revision "\${REVISION}"

FROM scratch
ARG REVISION=unknown
${copied.map((layer) => `COPY --from=build /image/${layer} /`).join('\n')}
LABEL ${said.join(' \\\n      ')}
ENV ${env.join(' \\\n    ')}
EXPOSE ${ports.join(' ')}
USER ${user}
ENTRYPOINT ${JSON.stringify(entrypoint)}
`;
}

/** Names of the images whose Dockerfile in the repository is another than the table gives. */
export function outdatedDockerfiles(): ImageName[] {
  return Object.values(IMAGES)
    .filter((image) => readFileSync(dockerfilePath(image.name), 'utf8') !== dockerfile(image))
    .map(({ name }) => name);
}
