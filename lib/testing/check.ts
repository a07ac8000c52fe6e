/** Floor 6. One test of the suite, and how it is run. */
import { it } from 'node:test'
import type { EndpointTest, Owner } from './peer.ts'
import { Rig, type RigOptions } from './rig.ts'
import type { Subject } from './subject.ts'
import { verify } from './verify.ts'

export interface Check {
  /** The behaviour. */
  readonly name: string
  /** Why it does not apply; undefined where it does. The first reason counts. */
  readonly unless?: readonly ((subject: Subject) => string | undefined)[]
  readonly rig?: RigOptions
  /** Whether the relay listens, with the endpoint up, before it runs; true if left out. */
  readonly started?: boolean
  run(rig: Rig, t: Owner, test: EndpointTest): Promise<void>
}

export const noSource = ({ isSource }: Subject): string | undefined => (isSource ? undefined : 'it has no source')
export const noTarget = ({ isTarget }: Subject): string | undefined => (isTarget ? undefined : 'it has no target')
export const noOutage = ({ peer }: Subject): string | undefined =>
  peer.outage === undefined ? 'the peer has no outage: give it one if it can go away' : undefined

export function register(test: EndpointTest, checks: readonly Check[]): void {
  for (const check of checks) it(check.name, (t) => runCheck(test, check, t))
}

/** Throws what the check found. The relay is closed by then; where the check was skipped, when its owner ends. */
export async function runCheck(test: EndpointTest, check: Check, t: Owner): Promise<void> {
  const rig = await Rig.create(test, t, check.rig)
  try {
    for (const unless of check.unless ?? []) {
      const reason = unless(rig.subject)
      if (reason !== undefined) {
        t.skip(reason)
        return
      }
    }
    if (check.started !== false) await rig.start()
    await check.run(rig, t, test)
    await rig.close()
    for (const subject of rig.subjects) verify(subject)
  } catch (error) {
    // What went wrong first is what the author must read, not what follows from it.
    await rig.close().catch(() => {})
    if (error instanceof Error && rig.lines.length > 0) error.message += `\n\nIt was logged:\n${rig.lines.join('')}`
    throw error
  }
}
