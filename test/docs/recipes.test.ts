import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { isRecipe, pageOf, pages, root, wordsOf } from './document.js'

const recipes = pages.filter(isRecipe)

test('docs/recipes.md has a row with a job for each recipe, and no other row', (t) => {
  const rows = Array.from(pageOf('docs/recipes.md').text.matchAll(/^\| ([^|]+) \| \[([^\]]+)\]\(recipes\/([\w-]+\.md)\) \|$/gm), ([, job = '', title, file]) => ({ job, title, path: `docs/recipes/${file}` }))
  t.strictSame(rows.map(({ path }) => path).sort(), recipes.map(({ path }) => path).sort())
  for (const { job, title, path } of rows) {
    t.ok(wordsOf(job) >= 3, path)
    t.equal(pageOf(path).headings[0]?.title, title)
  }
  t.end()
})

for (const page of recipes) {
  test(`${page.path} has 250 to 600 words, and the sections of a recipe`, (t) => {
    const words = wordsOf(page.text)
    t.ok(words >= 250 && words <= 600, `${words} words`)
    const sections = page.headings.filter(({ level }) => level === 2).map(({ title }) => title)
    t.strictSame(sections, ['The example', 'Step by step', 'What goes wrong', 'Reference'])
    t.match(page.sectionOf('Reference'), /\]\(\.\.\/[\w-]+\.md(#[\w-]+)?\)/, 'a link to a reference page')
    t.end()
  })

  test(`the code of ${page.path} is in an example that it links to, word for word`, (t) => {
    const paths = Array.from(page.text.matchAll(/\]\(\.\.\/\.\.\/(examples\/[\w/-]+\.(?:ts|js|html))\)/g), ([, path = '']) => path)
    t.ok(paths.length > 0, 'a link to an example')
    const examples = paths.map((path) => `\n${readFileSync(join(root, path), 'utf8')}`)
    const blocks = page.blocks.filter(({ language }) => !['sh', 'text', 'mermaid'].includes(language))
    for (const { code, line } of blocks) t.ok(examples.some((example) => example.includes(`\n${code}`)), `line ${line}:\n${code}`)
    const lines = blocks.reduce((sum, { code }) => sum + code.trimEnd().split('\n').length, 0)
    t.ok(lines >= 10 && lines <= 25, `${lines} lines of code`)
    t.end()
  })
}
