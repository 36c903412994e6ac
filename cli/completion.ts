/**
 * Completion: small scripts that ask this program at each Tab (`complete-words`), so that labs,
 * guests and links complete as they are now, and one piece of code knows the words.
 */

import type { ArgumentKind, OptionSpec } from "./command.ts";
import type { Engine } from "./engine.ts";
import { optionsOf } from "./parse.ts";
import { findCommand, visibleCommands } from "./table.ts";
import { splitGuest } from "./targets.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;

/** Candidates for the last of `words` (those after `uml-lab`), each `word` or `word\tsummary`. */
export async function candidates(words: readonly string[], engine: Engine): Promise<string[]> {
  const current = words.at(-1) ?? "";
  const before = words.slice(0, -1);
  const command = findCommand(before.slice(0, 2).join(" ")) ?? findCommand(before[0] ?? "");
  if (command === undefined) return starting(commandWords(before), current);
  const given = before.slice(command.name.split(" ").length);
  const options = optionsOf(command);
  if (command.passThrough === true && given.includes("--")) return [":files"];

  const last = given.at(-1) ?? "";
  const taking = options.find(
    (option) =>
      option.value !== undefined && (last === `--${option.name}` || last === `-${option.short}`),
  );
  if (taking !== undefined) {
    if (taking.choices !== undefined) return starting(choicesOf(taking, current), current);
    return names(taking.kind ?? "text", current, engine, given);
  }
  if (current.startsWith("-")) {
    return starting(
      options.map((option) => `--${option.name}\t${option.summary}`),
      current,
    );
  }
  if (command.name === "completion") return starting(SHELLS, current);
  if (command.name === "help") return starting(commandWords(given), current);
  const place = given.filter((word) => !word.startsWith("-")).length;
  const argument = command.arguments[Math.min(place, command.arguments.length - 1)];
  if (argument === undefined || (place >= command.arguments.length && argument.many !== true)) {
    return [];
  }
  return names(argument.kind, current, engine, given);
}

/** Where several go together, those that are there already stand before each. */
function choicesOf({ choices = [], several }: OptionSpec, current: string): readonly string[] {
  if (several !== true) return choices;
  const before = current.split(",").slice(0, -1);
  return choices
    .filter((choice) => !before.includes(choice))
    .map((choice) => [...before, choice].join(","));
}

/** First words of commands, or the second words of a group. */
function commandWords(before: readonly string[]): string[] {
  const prefix = before.length === 0 ? "" : `${before.join(" ")} `;
  const found = new Map<string, string>();
  for (const command of visibleCommands()) {
    if (!command.name.startsWith(prefix)) continue;
    const [word = "", more] = command.name.slice(prefix.length).split(" ");
    if (!found.has(word)) found.set(word, more === undefined ? command.summary : `${word} …`);
  }
  return [...found].map(([word, summary]) => `${word}\t${summary}`);
}

async function names(
  kind: ArgumentKind,
  current: string,
  engine: Engine,
  given: readonly string[],
): Promise<string[]> {
  if (kind === "file") return [":files"];
  if (kind === "topology") return [":topologies"];
  if (kind === "text") return [];
  try {
    const labs = (await engine.listLabs()).filter((lab) => lab.state === "running");
    if (kind === "lab")
      return starting(
        labs.map((lab) => `${lab.name}\t${lab.file}`),
        current,
      );
    const option = given[given.indexOf("--lab") + 1];
    const named = splitGuest(current).lab ?? (given.includes("--lab") ? option : undefined);
    const wanted = labs.filter((lab) => named === undefined || lab.name === named);
    const prefix = named !== undefined && current.includes("/") ? `${named}/` : "";
    const all = await Promise.all(
      wanted.map(async (summary) => {
        await using lab = await engine.findLab(summary.name);
        const status = await lab.status();
        if (kind === "link") return status.counters.links.map((link) => link.link);
        // With several labs a guest is named with its lab.
        const full = prefix !== "" ? prefix : wanted.length > 1 ? `${summary.name}/` : "";
        return status.guests.map((guest) => `${full}${guest.name}\t${guest.state}`);
      }),
    );
    return starting(all.flat(), current);
  } catch {
    // A lab that goes away just now: no candidates, and no error in the middle of a prompt.
    return [];
  }
}

const starting = (lines: readonly string[], current: string): string[] =>
  lines.filter((line) => line.startsWith(current));

export function completionScript(shell: string): string | undefined {
  if (shell === "bash") return BASH;
  if (shell === "zsh") return ZSH;
  return shell === "fish" ? FISH : undefined;
}

const BASH = `# uml-lab completion for bash: source <(uml-lab completion bash)
_uml_lab() {
  local current line words=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  # bash splits at ':' and '='; the words of uml-lab are whole
  if declare -F _get_comp_words_by_ref >/dev/null; then
    local cur cword
    _get_comp_words_by_ref -n := cur words cword
    words=("\${words[@]:1:cword}")
  fi
  current="\${words[-1]}"
  COMPREPLY=()
  while IFS= read -r line; do
    case "$line" in
      :files) compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
      :topologies) compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$current"; compgen -f -X '!*.y?(a)ml' -- "$current") ;;
      *) COMPREPLY+=("\${line%%$'\\t'*}") ;;
    esac
  done < <("\${COMP_WORDS[0]}" complete-words -- "\${words[@]}" 2>/dev/null)
  if declare -F __ltrim_colon_completions >/dev/null; then
    __ltrim_colon_completions "$current"
  fi
}
complete -F _uml_lab uml-lab
`;

const ZSH = `#compdef uml-lab
# uml-lab completion for zsh: uml-lab completion zsh > a folder of $fpath/_uml-lab
_uml_lab() {
  local line
  local -a found
  for line in "\${(@f)$("\${words[1]}" complete-words -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    case "$line" in
      '') ;;
      :files) _files; return ;;
      :topologies) _files -g '*.(yaml|yml)'; return ;;
      *) found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}") ;;
    esac
  done
  _describe 'uml-lab' found
}
if [ "$funcstack[1]" = "_uml_lab" ]; then _uml_lab "$@"; else compdef _uml_lab uml-lab; fi
`;

const FISH = `# uml-lab completion for fish: uml-lab completion fish > ~/.config/fish/completions/uml-lab.fish
function __uml_lab_words
    set -l words (commandline -opc) (commandline -ct)
    set -l found ($words[1] complete-words -- $words[2..-1] 2>/dev/null)
    if test "$found" = ":files"
        __fish_complete_path (commandline -ct)
    else if test "$found" = ":topologies"
        __fish_complete_suffix .yaml
        __fish_complete_suffix .yml
    else
        printf '%s\\n' $found
    end
end
complete -c uml-lab -f -a '(__uml_lab_words)'
`;
