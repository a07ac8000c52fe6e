/** Floor 3. `marshal-cloudevents`: CloudEvents 1.0, structured as JSON, or binary with the attributes in headers. */
import { defineMarshaller } from '../../marshaller-type.ts'
import { CloudEvents, type CloudEventsOptions } from './marshaller.ts'

export type { CloudEventsOptions }

export const marshalCloudEvents = defineMarshaller<CloudEventsOptions>({
  id: 'marshal-cloudevents',
  description: 'CloudEvents 1.0: events as JSON, or with their attributes in headers.',
  schema: {
    type: 'object',
    properties: {
      mode: {
        enum: ['structured', 'binary'],
        default: 'structured',
        description:
          'How events are sent: `structured` as one JSON text, `binary` with the attributes in headers and the data as ' +
          'the payload. Where the target carries no headers it is `structured`. What comes in may be either.',
      },
      source: {
        type: 'string',
        minLength: 1,
        description:
          'The `source` of events that have none of their own; `/` and the name of the source endpoint if left out.',
      },
      type: {
        type: 'string',
        minLength: 1,
        default: 'araldo.message',
        description: 'The `type` of events that have none of their own.',
      },
    },
  },
  create: (options) => new CloudEvents(options),
})
