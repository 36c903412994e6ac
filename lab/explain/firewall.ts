/**
 * Rules of a guest that drop or reject: of tc filters, nftables and iptables, with the packets each has
 * counted. Two looks, one before and one after a probe, tell which of them it was.
 */

export interface DropRule {
  readonly system: "tc" | "nftables" | "iptables";
  /** What to call it: `tc filter 10 at the ingress of eth1 (ip_proto icmp)`. */
  readonly name: string;
  /** Tells it from others in two looks. */
  readonly key: string;
  readonly verdict: "drop" | "reject";
  /** The chain's default, or a rule that everything meets. */
  readonly isPolicy: boolean;
  readonly interface: string | null;
  /** ingress, input: towards the guest itself or through it; null where it can't be told. */
  readonly hook: string | null;
  /** null: it does not count. */
  readonly packets: number | null;
}

// biome-ignore lint/suspicious/noExplicitAny: the output of other people's programs
type Loose = any;

const listOf = (value: Loose): Loose[] => (Array.isArray(value) ? value : []);

/** `tc -s -j filter show dev eth0 ingress` */
export function parseTrafficControl(json: Loose, device: string, way: string): DropRule[] {
  return listOf(json).flatMap((filter): DropRule[] => {
    const { options, pref, kind } = filter;
    const dropping = listOf(options?.actions).find(
      (action) => action.control_action?.type === "drop",
    );
    if (dropping === undefined) return [];
    const keys = Object.entries(options.keys ?? {}).filter(([key]) => key !== "eth_type");
    const match = keys.map(([key, value]) => `${key} ${value}`).join(", ");
    return [
      {
        system: "tc",
        name: `tc filter ${pref} at the ${way} of ${device}${match === "" ? "" : ` (${match})`}`,
        key: `tc ${device} ${way} ${pref} ${options.handle ?? ""} ${dropping.index}`,
        verdict: "drop",
        isPolicy: kind === "matchall" || keys.length === 0,
        interface: device,
        hook: way,
        packets: dropping.stats?.packets ?? null,
      },
    ];
  });
}

/** `nft -j list ruleset` */
export function parseNftables(json: Loose): DropRule[] {
  const chains = new Map<string, Loose>();
  const items = listOf(json?.nftables);
  for (const { chain } of items) {
    if (chain !== undefined) chains.set(`${chain.family} ${chain.table} ${chain.name}`, chain);
  }
  const rules = items.flatMap(({ rule }): DropRule[] => {
    if (rule === undefined) return [];
    const statements = listOf(rule.expr);
    const verdict = statements.some((one) => "drop" in one)
      ? "drop"
      : statements.some((one) => "reject" in one)
        ? "reject"
        : undefined;
    if (verdict === undefined) return [];
    const counter = statements.find((one) => one.counter !== undefined)?.counter;
    const matches = statements.filter((one) => one.match !== undefined).map(matchText);
    const place = `${rule.family} ${rule.table} ${rule.chain}`;
    return [
      {
        system: "nftables",
        name: `nftables rule${matches.length === 0 ? "" : ` \`${matches.join(" ")} ${verdict}\``} in chain ${rule.chain} of table ${rule.family} ${rule.table}`,
        key: `nft ${place} ${rule.handle}`,
        verdict,
        isPolicy: matches.length === 0,
        interface: null,
        hook: chains.get(place)?.hook ?? null,
        packets: typeof counter?.packets === "number" ? counter.packets : null,
      },
    ];
  });
  const policies = [...chains].flatMap(([place, chain]): DropRule[] =>
    chain.policy === "drop"
      ? [
          {
            system: "nftables",
            name: `nftables: the policy of chain ${chain.name} of table ${chain.family} ${chain.table} is to drop`,
            key: `nft ${place} policy`,
            verdict: "drop",
            isPolicy: true,
            interface: null,
            hook: chain.hook ?? null,
            packets: null,
          },
        ]
      : [],
  );
  return [...rules, ...policies];
}

function matchText({ match }: Loose): string {
  const left = operand(match.left);
  const right = operand(match.right);
  return match.op === "==" || match.op === "in"
    ? `${left} ${right}`
    : `${left} ${match.op} ${right}`;
}

function operand(value: Loose): string {
  if (value === null || typeof value !== "object") return String(value);
  if (value.payload !== undefined) return `${value.payload.protocol} ${value.payload.field}`;
  if (value.meta !== undefined) return String(value.meta.key);
  if (value.ct !== undefined) return `ct ${value.ct.key}`;
  if (value.prefix !== undefined) return `${value.prefix.addr}/${value.prefix.len}`;
  if (value.set !== undefined) return `{ ${listOf(value.set).map(operand).join(", ")} }`;
  if (value.range !== undefined) return listOf(value.range).map(operand).join("-");
  if (Array.isArray(value)) return value.map(operand).join(",");
  return JSON.stringify(value);
}

/** `iptables-save -c`: `[packets:bytes] -A FORWARD … -j DROP`, `:FORWARD DROP [packets:bytes]` */
export function parseIptables(program: "iptables" | "ip6tables", text: string): DropRule[] {
  let table = "";
  return text.split("\n").flatMap((line, index): DropRule[] => {
    if (line.startsWith("*")) table = line.slice(1).trim();
    const common = { system: "iptables", interface: null } as const;
    const policy = /^:(\S+) DROP \[(\d+):/.exec(line);
    if (policy !== null) {
      const [, chain, packets] = policy;
      return [
        {
          ...common,
          name: `${program}: the policy of chain ${chain} is to drop`,
          key: `${program} ${table} ${chain} policy`,
          verdict: "drop",
          isPolicy: true,
          hook: chain?.toLowerCase() ?? null,
          packets: Number(packets),
        },
      ];
    }
    const rule = /^\[(\d+):\d+\] -A (\S+) (.*?)-j (DROP|REJECT)\b/.exec(line);
    if (rule === null) return [];
    const [, packets, chain, match = "", verdict] = rule;
    return [
      {
        ...common,
        name: `${program} rule \`-A ${chain} ${match}-j ${verdict}\``,
        key: `${program} ${table} ${index} ${line.slice(line.indexOf("]"))}`,
        verdict: verdict === "DROP" ? "drop" : "reject",
        isPolicy: match === "",
        hook: chain?.toLowerCase() ?? null,
        packets: Number(packets),
      },
    ];
  });
}

/**
 * The rule that dropped something between two looks; where none counted, the one that could have,
 * more exact ones first.
 */
export function guilty(
  before: readonly DropRule[],
  after: readonly DropRule[],
  hooks: readonly string[],
): { readonly rule: DropRule; readonly sure: boolean } | undefined {
  const known = new Map(before.map((rule) => [rule.key, rule.packets]));
  const counted = after.find(
    ({ key, packets }) => packets !== null && packets > (known.get(key) ?? 0),
  );
  if (counted !== undefined) return { rule: counted, sure: true };
  // only those that don't count can have done it unseen
  const silent = after.filter(
    ({ packets, hook }) => packets === null && (hook === null || hooks.includes(hook)),
  );
  const best = silent.find(({ isPolicy }) => !isPolicy) ?? silent[0];
  return best && { rule: best, sure: silent.length === 1 };
}

/** A rule at one of these hooks that dropped something at some time, before both looks too. */
export function hasDropped(
  rules: readonly DropRule[],
  hooks: readonly string[],
): DropRule | undefined {
  return rules.find(
    ({ packets, hook }) => packets !== null && packets > 0 && hook !== null && hooks.includes(hook),
  );
}
