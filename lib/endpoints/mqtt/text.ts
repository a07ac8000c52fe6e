/** Floor 3. What MQTT takes for text: topics, names and values of user properties, content types. */

/** Bytes: their number is written in 16 bits. Source: MQTT 5, section 1.5.4; MQTT 3.1.1, section 1.5.3. */
export const MAX_TEXT = 65_535

/**
 * NUL and lone surrogates end a connection; control characters and Unicode's non-characters may, and do at Mosquitto
 * (MQTT 5, section 1.5.4).
 */
const REFUSED = /[\p{Cc}\p{Cs}\p{Noncharacter_Code_Point}]/u

/** Why MQTT cannot carry a text; undefined where it can. */
export function textProblem(text: string): string | undefined {
  if (REFUSED.test(text)) return 'it holds a control character, or what is no character'
  // No character of UTF-16 becomes more than three bytes of UTF-8.
  if (text.length * 3 <= MAX_TEXT) return undefined
  const bytes = Buffer.byteLength(text)
  return bytes > MAX_TEXT ? `it has ${bytes} bytes, and may have ${MAX_TEXT}` : undefined
}
