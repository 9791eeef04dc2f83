import { escape } from './demo-code.js'
import type { Page } from './pages.js'

/** A source file as a page shows it. */
export interface ShownCode {
  name: string
  lines: number
  html: string
}

const imports = {
  'fastify-sse-routes/client': '/fastify-sse-routes/client/index.js',
  'fastify-sse-routes/react': '/fastify-sse-routes/client/react.js',
  'eventsource-parser': '/eventsource-parser/index.js',
  react: '/react/index.js',
  'react-dom/client': '/react/index.js'
}

/** Where in a page's parts the code is to stand; without it: at the end. */
const CODE = '<!-- code -->'

/**
 * What all pages have in common, around the parts of one.
 * @param parts the page's own HTML
 * @param linked the pages of the navigation
 */
export function shell (page: Page, parts: string, code: ShownCode[], linked: Page[]): string {
  const { name, title, heading = title, lead, narrow, showHTML } = page
  const links = linked.filter((other) => firstOf(other, linked) === other).map((other) => link(other, page, other.group ?? other.title))
  const panel = (showHTML ? htmlPanel(page, parts) : '') + codePanel(page, code)
  if (linked.length > 1) links.push('<a href="/docs">API</a>')
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>${heading}</title>
    <link rel="icon" href="/favicon.svg" type="image/svg+xml">
    <link rel="stylesheet" href="/uplot/uPlot.min.css">
    <link rel="stylesheet" href="/style.css">
    <script type="importmap">${JSON.stringify({ imports })}</script>
    <script type="module" src="/${name}.js"></script>
  </head>
  <body>
    <a class="skip" href="#main">Skip to the content</a>
    <header class="site">
      <nav aria-label="Pages">
        ${links.join('\n        ')}
      </nav>
    </header>
    <main id="main" tabindex="-1"${narrow ? ' class="narrow"' : ''}>
      <div class="title">
        <h1>${heading}</h1>
        <p id="connection" data-state="connecting"><span role="status">connecting</span> <span class="countdown" aria-hidden="true"></span></p>
        <p class="lead">${lead}</p>
      </div>
      <noscript><p class="panel">This page needs JavaScript to read its stream. The stream itself does not: open one of those listed on the start page, or read it with <code>curl -N</code>.</p></noscript>
${tabs(page, linked)}${parts.includes(CODE) ? parts.replace(CODE, () => panel) : parts + panel}
    </main>
  </body>
</html>
`
}

/** The page that the navigation links for a page. */
function firstOf ({ group, path }: Page, linked: Page[]): Page | undefined {
  return linked.find((other) => group === undefined ? other.path === path : other.group === group)
}

function link (other: Page, page: Page, text: string): string {
  const isInGroup = page.group !== undefined && other.group === page.group
  const current = other === page ? ' aria-current="page"' : isInGroup && text === page.group ? ' aria-current="true"' : ''
  return `<a href="${other.path}"${current}>${text}</a>`
}

function tabs (page: Page, linked: Page[]): string {
  if (page.group === undefined) return ''
  const links = linked.filter(({ group }) => group === page.group).map((other) => link(other, page, other.title))
  return `      <nav class="tabs" aria-label="${page.group}">
        ${links.join('\n        ')}
      </nav>
`
}

function htmlPanel ({ name }: Page, parts: string): string {
  return `      <details class="code panel" open>
        <summary><b>The page’s side</b> <span>the HTML of this page</span></summary>
        <pre tabindex="0" role="region" aria-label="The HTML of ${name}.html"><code>${escape(parts.replace(/^ {6}/gm, ''))}</code></pre>
      </details>
`
}

function codePanel ({ open }: Page, code: ShownCode[]): string {
  const files = code.map(({ name, lines }) => `${lines} lines of ${name}.ts`).join(', ')
  const figures = code.map(({ name, html }) => `
        <figure>
          <figcaption>From <a href="/source/${name}.ts">demo/${name}.ts</a></figcaption>
          <pre tabindex="0" role="region" aria-label="The code of ${name}.ts"><code>${html}</code></pre>
        </figure>`)
  return `      <details class="code panel"${open ? ' open' : ''}>
        <summary><b>The server’s side</b> <span>${files}</span></summary>${figures.join('')}
      </details>`
}
