/** Floor 3. The option `topic`: which clients of an endpoint a message is for. */
import { reasonOf } from '../../errors.ts'
import { compileTemplate, type Template } from '../../template.ts'

/** A topic that addresses every client: no path is like it. */
export const EVERYONE = '*'

/** The lanes choose: `topic: /rooms/{body.room}` in one, `topic: '*'` in another. */
const CHOSEN_BY_LANES = /^\{\s*topic\s*\}$/
/** What no other value may hold: it would choose another path, or everyone. */
const REFUSED = /[/*]/

/** @throws ExpressionError */
export function compileTopic(text: string, endpoint: string): Template {
  return compileTemplate(text, { refuse: CHOSEN_BY_LANES.test(text) ? undefined : REFUSED, what: endpoint })
}

/** Why text can't be a topic; undefined if it can. */
export function topicProblem(text: string): string | undefined {
  if (!/^[/{]/.test(text) && text !== EVERYONE) return `begins with /, as paths do, or is ${EVERYONE}; got '${text}'`
  try {
    compileTopic(text, '')
    return undefined
  } catch (error) {
    return reasonOf(error)
  }
}
