import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'tap'
import * as errors from '../../lib/errors.js'
import { membersOf } from './compile.js'
import { isRecipe, manifest, Page, pageOf, pages, root, wordsOf } from './document.js'

const others = ['CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md', 'examples/README.md', 'demo/README.md', 'bench/README.md'].filter((path) => existsSync(join(root, path))).map((path) => new Page(path))
const docs = pages.filter(({ path }) => path.startsWith('docs/'))

for (const page of [...pages, ...others]) {
  test(`links in ${page.path} lead to files and headings that exist, and its npm scripts exist`, (t) => {
    for (const [, target = ''] of page.prose.matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
      const [path = '', anchor] = target.split('#')
      const file = path === '' ? page.path : join(dirname(page.path), path)
      t.ok(existsSync(join(root, file)), target)
      if (anchor !== undefined && existsSync(join(root, file))) t.ok(new Page(file).headings.some((heading) => heading.anchor === anchor), target)
    }
    const commands = [...page.blocks.filter(({ language }) => language === 'sh').map(({ code }) => code), ...page.prose.match(/`npm .*?`/g) ?? []].join('\n')
    for (const [, script = ''] of commands.matchAll(/npm (?:run )?(?!ci\b|install\b|pack\b)([\w:]+)/g)) t.ok(script in manifest.scripts, script)
    t.end()
  })
}

for (const page of docs) {
  test(`${page.path} has at most 3,500 words and one title, and a test for each block of code`, (t) => {
    t.ok(wordsOf(page.text) <= 3_500, `${wordsOf(page.text)} words`)
    t.equal(page.headings.filter(({ level }) => level === 1).length, 1)
    t.equal(new Set(page.headings.map(({ anchor }) => anchor)).size, page.headings.length, 'no heading twice')
    for (const { section, language } of page.blocks) {
      if (['sh', 'mermaid', 'text'].includes(language)) continue // shell commands and drawings
      if (isRecipe(page)) continue // recipes.test.ts finds them in the examples, which run in test/examples
      t.ok(testsOf(page.path).includes(`page.codeOf('${section}', '${language}')`), `${section}, ${language}`)
    }
    t.end()
  })
}

test('no more than three cells of the tables in docs have more than 45 words', (t) => {
  const long = docs.flatMap(({ path, prose }) => prose.split('\n').filter((line) => line.startsWith('|')).flatMap((line) => line.split(/(?<!\\)\|/)).filter((cell) => wordsOf(cell) > 45).map((cell) => `${path}: ${cell}`))
  t.ok(long.length <= 3, long.join('\n'))
  t.end()
})

test('docs/README.md lists every page of docs, and docs/recipes.md every recipe', (t) => {
  const contents = pageOf('docs/README.md').text
  for (const { path, headings } of docs) {
    if (path === 'docs/README.md') continue
    const [list, link] = isRecipe({ path }) ? [pageOf('docs/recipes.md').text, path] : [contents, path]
    t.ok(list.includes(`[${headings[0]?.title}](${link.slice('docs/'.length)})`), path)
  }
  t.end()
})

test('docs name every option, member and error code', (t) => {
  const text = docs.map(({ text }) => text).join('\n')
  const names = ['types.ts', 'stats.ts', 'event/encode.ts', 'backplane.ts', 'metrics.ts', 'client/types.ts'].flatMap(membersOf)
  for (const name of new Set(names)) t.ok(new RegExp(`\`(\\w+\\.)*${name}[\`(]`).test(text), name)
  for (const code of Object.keys(errors).filter((name) => name.startsWith('SSE_ERR_'))) t.ok(pageOf('docs/errors.md').headings.some(({ title }) => title.includes(code)), code)
  t.end()
})

/** Returns the code of all tests that read a page. */
function testsOf (path: string): string {
  return readdirSync(join(root, 'test/docs')).filter((file) => file.endsWith('.ts')).map((file) => readFileSync(join(root, 'test/docs', file), 'utf8')).filter((code) => code.includes(`const page = pageOf('${path}')`)).join('')
}
