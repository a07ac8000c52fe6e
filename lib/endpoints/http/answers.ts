/** Floor 3. What requests are answered with. */
import type { FastifyReply } from 'fastify'
import { STATUS_CODES } from 'node:http'
import { type AraldoError, isRetryable, reasonOf } from '../../errors.ts'
import { retryAfter } from './retry-after.ts'

const UNPROCESSABLE = 422
const UNAVAILABLE = 503
/** Characters. */
const MAX_REASON = 200

/** Answered here and not thrown: a crowd that is refused must not fill the host's error log. */
export function refuse(reply: FastifyReply, error: AraldoError): void {
  const { statusCode, code, message, retryable, cause } = error
  if (retryable) reply.header('retry-after', retryAfter())
  const reason = cause === undefined ? {} : { reason: reasonOf(cause).slice(0, MAX_REASON) }
  void reply.code(statusCode).send({ statusCode, code, error: STATUS_CODES[statusCode], message, ...reason })
}

/**
 * What became of a message that was taken in and did not reach its targets. Why is for the operator, whose log has it: a
 * stranger is told no more than a code, and whether to send it again.
 */
export function reject(reply: FastifyReply, error: Error): void {
  const retryable = isRetryable(error)
  const statusCode = retryable ? UNAVAILABLE : UNPROCESSABLE
  const message = retryable
    ? 'the message was not delivered to every target: send it again, with the same id'
    : 'the message cannot be delivered: it is no use to send it again as it is'
  if (retryable) reply.header('retry-after', retryAfter())
  void reply.code(statusCode).send({ statusCode, code: codeOf(error), error: STATUS_CODES[statusCode], message })
}

/** That of the cause, where there is one cause with a code of ours: it says more. */
export function codeOf(error: Error & { readonly code?: unknown }): string {
  const cause = error.cause as { readonly code?: unknown } | undefined
  return [cause?.code, error.code].find(isOurs) ?? 'ARALDO_ERR_SEND_FAILED'
}

function isOurs(code: unknown): code is string {
  return typeof code === 'string' && /^ARALDO_ERR_[A-Z_]+$/.test(code)
}
