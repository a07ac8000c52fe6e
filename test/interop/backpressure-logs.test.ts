/** Targets that keep what they take: streams, tables. */
import { TARGETS } from './pausable.ts'
import { holdSources } from './pressure.ts'

holdSources(TARGETS.filter(({ keeps }) => keeps))
