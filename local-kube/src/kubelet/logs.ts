import type { ServerResponse } from 'node:http';
import { refuse } from '../api/errors.ts';
import type { LogHandler } from '../api/handler.ts';
import type { Pod } from '../kinds.ts';
import type { Kubelet } from './kubelet.ts';

/** Answers `kubectl logs`: --container, --follow, --previous, --tail, --since, --timestamps, --limit-bytes. */
export function logHandler(kubelet: Kubelet, now: () => number): LogHandler {
  return (object, query, response) => {
    const pod = object as Pod;
    const asked = query.get('container') ?? undefined;
    const names = pod.spec.containers.map((container) => container.name);
    if (asked === undefined && names.length > 1)
      throw refuse.badRequest(`a container name must be specified for pod ${pod.metadata.name}, choose one of: [${names.join(' ')}]`);
    const runner = kubelet.runnerOf(object);
    const container = runner?.runner(asked);
    const name = asked ?? names[0] ?? '';
    if (runner === undefined || container === undefined)
      throw refuse.badRequest(
        `container ${name} in pod ${pod.metadata.name} is not available (the pod has not started, or has no such container)`,
      );
    const previous = query.get('previous') === 'true';
    const lines = previous ? runner.previousLog(container) : (container.log?.lines() ?? undefined);
    if (lines === undefined) {
      if (previous) throw refuse.badRequest(`previous terminated container "${name}" in pod "${pod.metadata.name}" not found`);
      throw refuse.badRequest(
        `container "${name}" in pod "${pod.metadata.name}" is waiting to start: ${container.status().state.waiting?.reason ?? 'ContainerCreating'}`,
      );
    }
    const timestamps = query.get('timestamps') === 'true';
    const show = (line: string): string => `${timestamps ? line : line.slice(line.indexOf(' ') + 1)}\n`;
    response.writeHead(200, { 'content-type': 'text/plain' });
    const text = chosen(lines, query, now()).map(show).join('');
    const limit = Number(query.get('limitBytes') ?? '');
    response.write(limit > 0 ? text.slice(0, limit) : text);
    const log = container.log;
    if (query.get('follow') !== 'true' || previous || log === undefined) response.end();
    else
      followLog(
        response,
        log.follow(
          (line) => response.write(show(line)),
          () => response.end(),
        ),
      );
  };
}

function followLog(response: ServerResponse, stop: () => void): void {
  response.flushHeaders();
  response.on('close', stop);
}

function chosen(lines: readonly string[], query: URLSearchParams, nowMs: number): readonly string[] {
  const seconds = Number(query.get('sinceSeconds') ?? '');
  const sinceTime = query.get('sinceTime');
  const since = seconds > 0 ? new Date(nowMs - seconds * 1000).toISOString() : sinceTime === null ? '' : new Date(sinceTime).toISOString();
  const recent = since === '' ? lines : lines.filter((line) => line >= since);
  const tail = query.get('tailLines');
  return tail === null ? recent : Number(tail) === 0 ? [] : recent.slice(-Number(tail));
}
