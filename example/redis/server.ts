/**
 * The chat page again, with Redis between the windows: redis-cli takes part in the conversation.
 *
 *     npx tsx example/redis/server.ts
 *     redis-cli subscribe chat
 *     redis-cli publish chat '{"from":"redis-cli","text":"hello browsers"}'
 *
 * While Redis is down, what a window sends waits, without a tick; it is delivered, and has one, when Redis is back.
 */
import { start } from '../chat/server.ts'

await start(new URL('./araldo.yaml', import.meta.url))
