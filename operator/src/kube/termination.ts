import type { ContainerTermination } from './objects.ts';

const TEXT_MAX = 300;

/**
 * Why a container ended, in its own words: the kubelet keeps the end of a failed container's log as its termination
 * message (terminationMessagePolicy FallbackToLogsOnError), and our programs log JSON lines, the fatal one last. For
 * people only.
 */
export function lastWords(terminated: ContainerTermination | undefined): string | undefined {
  const lines = (terminated?.message ?? '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const told = lines.map(entry).findLast((one) => one !== undefined && (one.level === 'fatal' || one.level === 'error'));
  const plain = lines.findLast((line) => !line.startsWith('{') && !line.startsWith('at '));
  const text = told?.text ?? plain;
  return text === undefined ? undefined : text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text;
}

function entry(line: string): { level: string; text: string } | undefined {
  if (!line.startsWith('{')) return undefined;
  let fields: { level?: unknown; msg?: unknown; err?: { message?: unknown } };
  try {
    fields = JSON.parse(line) as typeof fields;
  } catch (error) {
    // The kubelet cuts the first line off at the front; what is no JSON is read as plain text.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  const { level, msg } = fields;
  const cause = fields.err?.message;
  if (typeof level !== 'string' || typeof msg !== 'string') return undefined;
  return { level, text: typeof cause === 'string' && cause !== '' ? (msg === 'stopped by an error' ? cause : `${msg}: ${cause}`) : msg };
}
