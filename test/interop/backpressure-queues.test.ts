/** Targets that hand on what they take: queues, topics, a webhook. */
import { TARGETS } from './pausable.ts'
import { holdSources } from './pressure.ts'

holdSources(TARGETS.filter(({ keeps }) => !keeps))
