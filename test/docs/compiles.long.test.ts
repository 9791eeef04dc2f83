import { test } from 'tap'
import { typeErrors } from './compile.js'
import { pages } from './document.js'

test('all TypeScript of README.md and docs compiles, and its @ts-expect-error lines do not', (t) => {
  t.strictSame(typeErrors(pages.flatMap(({ blocks }) => blocks).filter(({ language }) => language === 'ts')), [])
  t.end()
})
