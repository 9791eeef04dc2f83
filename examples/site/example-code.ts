import { readFile } from 'node:fs/promises'

/** The file of an example. */
export function readExample (name: string): Promise<string> {
  return readFile(new URL(`../${name}.ts`, import.meta.url), 'utf8')
}

/** What an example's plugin does: the lines of its function, as they stand in the file. */
export function pluginBody (source: string): string {
  const body = /^const .* = async \(app.*\) => \{\n([^]*?)\n\}$/m.exec(source)?.[1]
  if (body === undefined) throw new Error('the file holds no plugin')
  return body.replace(/^ {2}/gm, '')
}

const TOKEN = new RegExp([
  /(?<comment>\/\/.*)/,
  /(?<string>'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`)/,
  /(?<keyword>\b(?:as|async|await|const|finally|for|function|if|let|null|of|return|throw|try|yield)\b)/,
  /(?<number>\b\d[\d_]*\b)/,
  /(?<name>\b\w+(?=\())/
].map(({ source }) => source).join('|'), 'g')

/** TypeScript as HTML, with an element of the token's kind around whatever is coloured. */
export function highlight (code: string): string {
  let html = ''
  let end = 0
  for (const { 0: token, index, groups = {} } of code.matchAll(TOKEN)) {
    const kind = Object.keys(groups).find((name) => groups[name] !== undefined)
    html += `${escape(code.slice(end, index))}<span class="${kind}">${escape(token)}</span>`
    end = index + token.length
  }
  return html + escape(code.slice(end))
}

function escape (text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
