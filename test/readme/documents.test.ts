import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'tap'
import { anchorOf, manifest, root } from './document.js'

const documents = ['CONTRIBUTING.md', 'CHANGELOG.md', 'examples/README.md', 'bench/README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)]

for (const document of documents) {
  test(`links in ${document} lead to files and headings that exist, and its npm scripts exist`, (t) => {
    const text = readFileSync(join(root, document), 'utf8')
    for (const [, target = ''] of text.matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
      const [path = '', anchor] = target.split('#')
      const file = path === '' ? join(root, document) : join(root, dirname(document), path)
      t.ok(existsSync(file), target)
      if (anchor !== undefined) t.ok(anchorsOf(file).includes(anchor), target)
    }
    for (const [, script = ''] of text.matchAll(/npm (?:run )?(?!ci\b|install\b)([\w:]+)/g)) t.ok(script in manifest.scripts, script)
    t.end()
  })
}

function anchorsOf (file: string): string[] {
  return Array.from(readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm), ([, title = '']) => anchorOf(title))
}
