import { readFile } from 'node:fs/promises'

/** Reads a source file of the demo. */
export function readDemoFile (name: string): Promise<string> {
  return readFile(new URL(`../${name}.ts`, import.meta.url), 'utf8')
}

/** Extracts the body of the plugin function from a source file. */
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

/** Converts TypeScript to HTML with a `<span>` around each token that has a colour. */
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

/** Escapes text for the content of an element. */
export function escape (text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
