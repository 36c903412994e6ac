/** BIRD on a guest: its configuration, checked by itself, and ready when `birdc` gets an answer. */

import type { GuestFile, GuestService } from "../../kernel/guest/spec.ts";

const PATH = "/etc/bird/bird.conf";

export function birdFiles(configuration: string): GuestFile[] {
  return [{ path: PATH, content: Buffer.from(configuration), mode: 0o644 }];
}

const START = `
bird=$(command -v bird || command -v bird2) || bird=
if [ -z "$bird" ]; then
  echo "this image has no BIRD: \`image: router\` has it" >&2
  exit 1
fi
mkdir -p /run/bird
if ! said=$("$bird" -p -c ${PATH} 2>&1); then
  echo "bird.conf is wrong:" >&2
  echo "$said" >&2
  exit 1
fi
as=
if grep -q '^bird:' /etc/passwd && grep -q '^bird:' /etc/group; then
  chown bird:bird /run/bird
  as="-u bird -g bird"
fi
said=$("$bird" -c ${PATH} $as 2>&1) && birdc -r show status > /dev/null && exit 0
echo "bird did not start" >&2
echo "$said" >&2
exit 1
`;

export const birdService: GuestService = { name: "BIRD", start: START };
