import { test } from 'tap'
import { typeErrors } from './compile.js'
import { isRecipe, type Page, pages } from './document.js'

// the code of recipes is a part of examples, which npm run typecheck compiles
test('all TypeScript of README.md and docs compiles, and its @ts-expect-error lines do not', (t) => {
  // the files of docs/tutorial.md replace each other: tutorial.long.test.ts type-checks them step by step
  const isCompiled = (page: Page) => !isRecipe(page) && page.path !== 'docs/tutorial.md'
  t.strictSame(typeErrors(pages.filter(isCompiled).flatMap(({ blocks }) => blocks).filter(({ language }) => language === 'ts')), [])
  t.end()
})
