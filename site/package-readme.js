// Run by `npm pack` and `npm publish`. Before the package is made, writes the README that npm shows; afterwards, with `--restore`, restores that
// of the repository. npm shows a README without the files beside it, so relative links would be dead there, and it draws no diagrams.
// Can be deleted once package.json has the field `repository`, because npm then leads relative links to it.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './sources.js'

const readme = join(root, 'README.md')
const saved = join(root, '.readme-of-the-repository.md')

// also if an earlier pack was interrupted
if (existsSync(saved)) renameSync(saved, readme)

if (!process.argv.includes('--restore')) {
  const text = readFileSync(readme, 'utf8')
  writeFileSync(saved, text)
  writeFileSync(readme, packageReadme(text))
}

function packageReadme (text) {
  return text
    .replace(/^```mermaid\n.*?^```\n\n/ms, '')
    .replace(/^## Documentation\n.*/ms, '## Documentation\n\nThe documentation is in the folder `docs` of the repository.\n')
    .replace(/\[((?:[^\][]|\[[^\]]*\])*)\]\((?!https?:|#)[^)\s]+\)/g, '$1')
}
