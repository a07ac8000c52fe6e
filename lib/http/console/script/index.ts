/**
 * Floor 3. What runs in the console's page, in one piece. Everything that comes from the relay goes into text nodes,
 * never into markup; the page's policy (Trusted Types) lets nothing else pass.
 */
import { build } from './build.ts'
import { feed } from './feed.ts'
import { link } from './link.ts'
import { picture } from './picture.ts'
import { show } from './show.ts'
import { tools } from './tools.ts'

/** The parts share one scope; the link comes last, because it sets everything going. */
export const script = `'use strict';{${[tools, build, show, picture, feed, link].join('')}}`
