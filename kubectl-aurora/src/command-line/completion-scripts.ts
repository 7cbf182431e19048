import { UsageError } from '../kube/errors.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** Asked with the words so far, the last one unfinished; answers a suggestion a line, and in the end `:4`, which means: and no files. */
export const COMPLETE_WORD = '__complete';

/** For `kubectl-aurora` under its own name; kubectl itself asks kubectl_complete-aurora. */
const SCRIPTS: Readonly<Record<(typeof SHELLS)[number], string>> = {
  bash: `# bash completion for kubectl-aurora
_kubectl_aurora() {
  local words
  words=$(kubectl-aurora ${COMPLETE_WORD} "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | grep -v '^:' | cut -f1)
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _kubectl_aurora kubectl-aurora
`,
  zsh: `#compdef kubectl-aurora
_kubectl_aurora() {
  local -a found
  local line
  for line in "\${(@f)$(kubectl-aurora ${COMPLETE_WORD} "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ $line == :* ]] || found+=("\${line/$'\\t'/:}")
  done
  _describe 'kubectl-aurora' found
}
compdef _kubectl_aurora kubectl-aurora
`,
  fish: `# fish completion for kubectl-aurora
function __kubectl_aurora
  set -l words (commandline -opc) (commandline -ct)
  kubectl-aurora ${COMPLETE_WORD} $words[2..-1] 2>/dev/null | string match -v ':*'
end
complete -c kubectl-aurora -f -a '(__kubectl_aurora)'
`,
};

export function completionScript(shell: string | undefined): string {
  const known = SHELLS.find((one) => one === shell);
  if (known === undefined) throw new UsageError(`completion is there for ${SHELLS.join(', ')}: name one of them`);
  return SCRIPTS[known];
}
