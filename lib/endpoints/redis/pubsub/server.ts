/** Floor 3. What the endpoints that name one server share: a connection to publish with and one to subscribe with. */
import type { OpenClient } from '../client.ts'
import type { ConnectionInit } from '../connection.ts'
import { Shared } from '../../common/shared.ts'
import { Publisher } from './publisher.ts'
import { Subscriber } from './subscriber.ts'

export class SharedServer {
  readonly publisher: Shared<Publisher>
  readonly subscriber: Shared<Subscriber>

  constructor(open: OpenClient, pingInterval: number) {
    const init = (onLost: (error: Error) => void): ConnectionInit => ({ open, pingInterval, onLost })
    this.publisher = new Shared((onLost) => new Publisher(init(onLost)))
    this.subscriber = new Shared((onLost) => new Subscriber(init(onLost)))
  }
}
