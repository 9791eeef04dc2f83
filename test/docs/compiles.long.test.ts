import { test } from 'tap'
import { typeErrors } from './compile.js'
import { pages } from './document.js'

test('all TypeScript of README.md and docs compiles, and its @ts-expect-error lines do not', (t) => {
  // the files of docs/tutorial.md replace each other: tutorial.long.test.ts type-checks them step by step
  t.strictSame(typeErrors(pages.filter(({ path }) => path !== 'docs/tutorial.md').flatMap(({ blocks }) => blocks).filter(({ language }) => language === 'ts')), [])
  t.end()
})
