/** Floor 3. Text that came from elsewhere, made fit to be shown: without secrets, without tricks, and not too long. */

/** @param limit how many characters are shown at most. */
export type Show = (text: string, limit: number) => string

/** Shorter ones are not looked for: a text from which every `1` is struck out says nothing and hides nothing. */
const MIN_SECRET_LENGTH = 3
const MASK = '***'

/** Control characters, and those that turn the direction of the text around them. */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu

/** @param secrets what must not be shown, wherever it stands in a text. More may come, none may go. */
export function createShow(secrets: ReadonlySet<string>): Show {
  let hidden: readonly string[] = []
  let known = 0

  return (text, limit) => {
    if (known !== secrets.size) {
      known = secrets.size
      hidden = longestFirst(secrets)
    }
    const longest = hidden[0]?.length ?? 0
    // The work is bounded, too. What is left of a secret at the cut is shorter than the longest one, and cut off.
    const isCut = text.length > limit + longest
    let shown = isCut ? text.slice(0, limit + longest) : text
    for (const secret of hidden) shown = shown.replaceAll(secret, MASK)
    if (isCut) shown = shown.slice(0, shown.length - longest)
    if (isCut || shown.length > limit) shown = `${shown.slice(0, limit - 1)}…`
    return shown.replace(UNPRINTABLE, '\uFFFD')
  }
}

/** A secret may be a part of another one. */
function longestFirst(secrets: ReadonlySet<string>): string[] {
  const hidden = [...secrets].filter((secret) => secret.length >= MIN_SECRET_LENGTH)
  return hidden.toSorted((one, other) => other.length - one.length)
}
