import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, extname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The top of the repository. */
export const root = fileURLToPath(new URL('..', import.meta.url))

/** Pages outside of docs, by their path in the repository, and their paths in the site. */
const OTHERS = {
  'README.md': 'overview.md',
  'docs/README.md': 'contents.md',
  'SECURITY.md': 'security.md',
  'CHANGELOG.md': 'changelog.md',
  'CONTRIBUTING.md': 'contributing.md',
  'examples/README.md': 'examples/index.md',
  'demo/README.md': 'demo/index.md',
  'bench/README.md': 'bench/index.md'
}

/** Languages of highlighted code, by the extension of a file. Files of other kinds are shown as plain text. */
const LANGUAGES = { '.ts': 'ts', '.js': 'js', '.mjs': 'js', '.json': 'json', '.html': 'html', '.yml': 'yaml' }

/** A link or picture in Markdown or HTML: the text before its target, the target, and the character after it. */
const LINKS = [/(!?\[(?:[^\][]|\[[^\]]*\])*\]\()([^)\s]+)(\))/g, /((?:src|srcset|href)=")([^"]+)(")/g]

/**
 * Returns the files of the site, as a Map of their paths to their contents: the pages of docs and of `OTHERS`, a page for each
 * source file to which they link, and the pictures that they show. Links lead to the paths in the site.
 * @throws if a link leads to no file
 */
export function readSite () {
  const pages = new Map(Object.entries(OTHERS))
  for (const name of readdirSync(join(root, 'docs'), { recursive: true })) {
    const path = posix.join('docs', name)
    if (name.endsWith('.md') && !pages.has(path)) pages.set(path, name)
  }
  const files = new Map()
  const linked = new Set()
  for (const [path, target] of pages) {
    const text = readFileSync(join(root, path), 'utf8')
    files.set(target, convertLinks(text, (link) => {
      const [file, anchor] = split(posix.join(posix.dirname(path), link))
      return relative(target, pageOf(file, pages, linked, path)) + anchor
    }))
  }
  for (const path of linked) files.set(sourcePath(path), sourceOf(path))
  return files
}

/** Converts the links of a page that lead to files. Does not change code, and links to other sites or within the page. */
function convertLinks (text, convert) {
  let isCode = false
  return text.split('\n').map((line) => {
    if (line.startsWith('```')) isCode = !isCode
    if (isCode) return line
    return LINKS.reduce((line, pattern) => line.replace(pattern, (link, before, target, after) => /^(https?:|#)/.test(target) ? link : `${before}${convert(target)}${after}`), line)
  }).join('\n')
}

/** Returns the path in the site to which a link to a file of the repository leads. Adds a source file to `linked`. */
function pageOf (file, pages, linked, from) {
  const path = file.replace(/\/$/, '')
  const full = join(root, path)
  if (!existsSync(full)) throw new Error(`${from} links to ${path}, which does not exist`)
  const page = pages.get(statSync(full).isDirectory() ? `${path}/README.md` : path)
  if (page !== undefined) return page
  linked.add(path)
  return sourcePath(path)
}

function sourcePath (path) {
  // VitePress makes no pages of hidden files, and takes a link to `x.html` for one to `x`
  return isPicture(path) ? path : `source/${path.replace(/^\./, '').replace(/\.html$/, '-html')}.md`
}

function isPicture (path) {
  return /\.(png|svg|webp)$/.test(path)
}

/** Returns a page with the code of a file, or with the names of a folder's files; the bytes of a picture. */
function sourceOf (path) {
  const full = join(root, path)
  if (isPicture(path)) return readFileSync(full)
  const isFolder = statSync(full).isDirectory()
  const code = isFolder ? readdirSync(full).join('\n') : readFileSync(full, 'utf8').trimEnd()
  // longer than any fence within the file
  // not searched, because such pages would hide the pages that describe them
  return `---\nsearch: false\n---\n\n# ${path}\n\n\`\`\`\`\`${LANGUAGES[extname(path)] ?? 'text'}\n${code}\n\`\`\`\`\`\n`
}

function split (link) {
  const start = link.indexOf('#')
  return start < 0 ? [link, ''] : [link.slice(0, start), link.slice(start)]
}

function relative (from, to) {
  const path = posix.relative(dirname(from), to)
  return path.startsWith('.') ? path : `./${path}`
}

/** Returns the sidebar: the lists of docs/README.md, one group for each of its headings. */
export function readSidebar () {
  const groups = []
  for (const line of readFileSync(join(root, 'docs/README.md'), 'utf8').split('\n')) {
    const heading = /^## (.*)$/.exec(line)
    if (heading !== null) groups.push({ text: heading[1], collapsed: false, items: [] })
    const item = /^- \[(.*?)\]\((.*?)\)/.exec(line)
    if (item === null) continue
    const path = posix.join('docs', item[2])
    const page = OTHERS[path] ?? posix.relative('docs', path)
    groups.at(-1)?.items.push({ text: item[1], link: `/${page.replace(/(index)?\.md$/, '')}` })
  }
  return groups
}

/** Returns the first block of code of README.md below a heading. @throws if there is none */
export function readCode (heading) {
  const text = readFileSync(join(root, 'README.md'), 'utf8')
  const [, block] = new RegExp(`^## ${heading}\\n[^#]*?(^\`\`\`ts\\n.*?^\`\`\`$)`, 'ms').exec(text) ?? []
  if (block === undefined) throw new Error(`README.md has no code below "${heading}"`)
  return block
}
