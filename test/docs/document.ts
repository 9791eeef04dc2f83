import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))

interface Manifest {
  name: string
  version: string
  scripts: Record<string, string>
  exports: Record<string, string | { import: { default: string } }>
  dependencies: Record<string, string>
  peerDependencies: Record<string, string>
  peerDependenciesMeta: Record<string, unknown>
}

export const manifest: Manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** Fenced block of code. */
export interface Block {
  language: string
  code: string
  /** The heading above it. */
  section: string
  /** Path of its page. */
  page: string
  /** Its first line in the page. */
  line: number
}

export interface Heading {
  level: number
  title: string
  /** Its name in links. */
  anchor: string
  /** Its line, from 0. */
  line: number
}

/** One Markdown file. */
export class Page {
  readonly blocks: Block[] = []
  readonly headings: Heading[] = []
  readonly text: string
  /** The text without its blocks of code. */
  readonly prose: string

  /** @param path from the top of the repository */
  constructor (readonly path: string) {
    this.text = readFileSync(join(root, path), 'utf8')
    const prose: string[] = []
    let open: Block | null = null
    for (const [index, line] of this.text.split('\n').entries()) {
      const fence = /^```(.*)$/.exec(line)
      if (fence === null) {
        const [, marks, title] = /^(#+) (.*)$/.exec(line) ?? []
        if (open !== null) open.code += `${line}\n`
        else prose.push(line)
        if (open === null && marks !== undefined && title !== undefined) this.headings.push({ level: marks.length, title, anchor: anchorOf(title), line: index })
      } else if (open === null) {
        open = { language: fence[1] ?? '', code: '', section: this.headings.at(-1)?.title ?? '', page: path, line: index + 2 }
      } else {
        this.blocks.push(open)
        open = null
      }
    }
    this.prose = prose.join('\n')
  }

  /** Returns the code of the blocks below a heading in a language; `''` is no language. */
  codeOf (section: string, language: string): [string, ...string[]] {
    const [first, ...others] = this.blocks.filter((block) => block.section === section && block.language === language).map(({ code }) => code)
    if (first === undefined) throw new Error(`${this.path} has no block of ${language || 'text'} under "${section}"`)
    return [first, ...others]
  }

  /** Returns the text from a heading to the next one of the same or a higher level. */
  sectionOf (title: string): string {
    const first = this.headings.find((heading) => heading.title === title)
    if (first === undefined) throw new Error(`${this.path} has no heading "${title}"`)
    const next = this.headings.find(({ level, line }) => line > first.line && level <= first.level)
    return this.text.split('\n').slice(first.line + 1, next?.line).join('\n')
  }

  /** Returns the cells of the table row for a name. */
  rowOf (name: string): string[] {
    return this.text.split('\n').find((line) => line.startsWith(`| \`${name}\``))?.split('|').map((cell) => cell.trim()) ?? []
  }
}

/** README.md and all pages of docs, with the recipes. */
export const pages: readonly Page[] = ['README.md', ...pathsIn('docs'), ...pathsIn('docs/recipes')].map((path) => new Page(path))

function pathsIn (folder: string): string[] {
  return readdirSync(join(root, folder)).filter((name) => name.endsWith('.md')).map((name) => `${folder}/${name}`)
}

/** Returns true for the page of a recipe. Its code is a part of an example, so it does not run alone. */
export function isRecipe ({ path }: Pick<Page, 'path'>): boolean {
  return path.startsWith('docs/recipes/')
}

/** Returns a page by its path, such as `docs/sending.md`. */
export function pageOf (path: string): Page {
  const page = pages.find((page) => page.path === path)
  if (page === undefined) throw new Error(`there is no page ${path}`)
  return page
}

/** The name of a heading in links, as GitHub makes it. */
export function anchorOf (title: string): string {
  return title.toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-')
}

/** Returns the path in the first line of a block, if there is one. */
export function pathOf (code: string): string | undefined {
  return /^\/\/ ([\w/-]+\.ts)\n/.exec(code)?.[1]
}

/** Returns the number of words in a text; signs without a letter or digit are none. */
export function wordsOf (text: string): number {
  return text.split(/\s+/).filter((word) => /\w/.test(word)).length
}
