import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))
export const readme = readFileSync(join(root, 'README.md'), 'utf8')

interface Manifest {
  name: string
  scripts: Record<string, string>
  exports: Record<string, string | { import: { default: string } }>
  dependencies: Record<string, string>
  peerDependencies: Record<string, string>
  peerDependenciesMeta: Record<string, unknown>
}

export const manifest: Manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** A fenced block of code. */
export interface Block {
  language: string
  code: string
  /** The heading it stands under. */
  section: string
  /** The line of the README it begins at. */
  line: number
}

export interface Heading {
  level: number
  title: string
  /** Its name in links. */
  anchor: string
}

/** All blocks of the README, and all headings, in order. */
export const blocks: Block[] = []
export const headings: Heading[] = []

let open: Block | null = null
for (const [index, line] of readme.split('\n').entries()) {
  const fence = /^```(.*)$/.exec(line)
  if (fence === null) {
    const [, marks, title] = /^(#+) (.*)$/.exec(line) ?? []
    if (open !== null) open.code += `${line}\n`
    else if (marks !== undefined && title !== undefined) headings.push({ level: marks.length, title, anchor: anchorOf(title) })
  } else if (open === null) {
    open = { language: fence[1] ?? '', code: '', section: headings.at(-1)?.title ?? '', line: index + 2 }
  } else {
    blocks.push(open)
    open = null
  }
}

/** The name of a heading in links, as GitHub makes it. */
export function anchorOf (title: string): string {
  return title.toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-')
}

/** Returns the code of the blocks of a section in a language; `''` is no language. */
export function codeOf (section: string, language: string): [string, ...string[]] {
  const [first, ...others] = blocks.filter((block) => block.section === section && block.language === language).map(({ code }) => code)
  if (first === undefined) throw new Error(`README.md has no block of ${language || 'text'} under "${section}"`)
  return [first, ...others]
}

/** Returns the path in the first line of a block, if there is one. */
export function pathOf (code: string): string | undefined {
  return /^\/\/ ([\w/-]+\.ts)\n/.exec(code)?.[1]
}

/** Returns the text from a heading to the next one of level 2. */
export function sectionOf (title: string): string {
  return readme.split(`\n## ${title}\n`)[1]?.split('\n## ')[0] ?? ''
}

/** Returns the cells of the table row for a name. */
export function rowOf (name: string): string[] {
  return readme.split('\n').find((line) => line.startsWith(`| \`${name}\``))?.split('|').map((cell) => cell.trim()) ?? []
}
