import t from 'tap'
import { conforms } from './conforms.js'
import { crossesOrigins } from './cross-origin.js'
import { inChromium } from './in-chromium.js'

await conforms(async (origin) => {
  const chromium = await inChromium(t, origin)
  t.test('a page reads streams of another origin as far as CORS allows', (t) => crossesOrigins(t, chromium))
  return [chromium]
})
