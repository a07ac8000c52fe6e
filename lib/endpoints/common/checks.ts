/** Floor 3. Mistakes of many types' options that no schema can name. */
import type { OptionIssue } from '../../endpoint.ts'
import { reasonOf } from '../../errors.ts'

/** `[which, what must not stand beside it, why]` */
export type Exclusion<Key> = readonly [Key, readonly Key[], string]

/** What must not stand beside what. */
export function* checkExclusions<Options extends object>(
  options: Options,
  exclusions: readonly Exclusion<keyof Options & string>[],
): Iterable<OptionIssue> {
  for (const [key, excluded, why] of exclusions) {
    if (!isSet(options, key)) continue
    for (const path of excluded) {
      if (isSet(options, path)) yield { path, message: `excludes '${key}': ${why}` }
    }
  }
}

/** Given, and not `false`. */
export function isSet<Options extends object>(options: Options, key: keyof Options): boolean {
  return options[key] !== undefined && options[key] !== false
}

/** A host that has its port with it: no name has a colon, and an IPv6 address more than one. */
export function* checkHost({ host }: { readonly host?: string }): Iterable<OptionIssue> {
  if (host !== undefined && /^[^:]*:[^:]*$/.test(host)) yield { path: 'host', message: "write the port into 'port'" }
}

/** What is wrong with an option, where its reader throws. */
export function* problemOf(path: string, attempt: () => unknown): Iterable<OptionIssue> {
  try {
    attempt()
  } catch (error) {
    yield { path, message: reasonOf(error) }
  }
}
