/** Floor 3. Numbers of AMQP 0-9-1: of frames (section 4.2.3), and of the properties' flags (4.2.6.1 and the XML). */

export const METHOD_FRAME = 1
export const HEADER_FRAME = 2
export const BODY_FRAME = 3
export const FRAME_END = 0xce
/** Bytes of type, channel and size. */
export const FRAME_START = 7

export const CONTENT_TYPE = 0x8000
export const CONTENT_ENCODING = 0x4000
export const HEADERS = 0x2000
export const DELIVERY_MODE = 0x1000
export const PRIORITY = 0x0800
export const CORRELATION_ID = 0x0400
export const REPLY_TO = 0x0200
export const EXPIRATION = 0x0100
export const MESSAGE_ID = 0x0080
export const TIMESTAMP = 0x0040
export const TYPE = 0x0020
export const APP_ID = 0x0008

/** The type of a value in a table: a text. */
export const LONG_STRING = 'S'.charCodeAt(0)
