/**
 * The chat page again, with Redis between the windows: redis-cli takes part in the conversation.
 *
 *     npx tsx example/redis/server.ts
 *     redis-cli subscribe chat
 *     redis-cli publish chat '{"from":"redis-cli","text":"hello browsers"}'
 */
import { start } from '../chat/server.ts'

await start(new URL('./araldo.yaml', import.meta.url))
