import { defineConfig } from 'vitepress'
import { readSidebar } from '../sources.js'

export default defineConfig({
  title: 'fastify-sse-routes',
  description: 'Declarative, typed Server-Sent Events routes for Fastify',
  lang: 'en',
  // the path below which the site is served; the demo serves it below /guide/
  base: process.env.DOCS_BASE ?? '/guide/',
  srcDir: 'pages',
  outDir: 'dist',
  cacheDir: 'cache',
  markdown: {
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' },
    // as GitHub makes the names of headings in links
    anchor: { slugify: (title) => title.toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-') },
    config ({ renderer: { rules }, utils }) {
      const { fence } = rules
      rules.fence = (tokens, i, ...rest) => tokens[i].info === 'mermaid'
        ? `<MermaidDiagram code="${utils.escapeHtml(tokens[i].content)}" />`
        : fence(tokens, i, ...rest)
    }
  },
  head: [['link', { rel: 'icon', href: 'data:,' }]],
  themeConfig: {
    search: { provider: 'local' },
    nav: [
      { text: 'Overview', link: '/overview' },
      { text: 'Documentation', link: '/contents' },
      { text: 'API', link: '/api/' },
      { text: 'Examples', link: '/examples/' }
    ],
    sidebar: [
      ...readSidebar(),
      { text: 'Reference', items: [{ text: 'API', link: '/api/' }, { text: 'Examples', link: '/examples/' }, { text: 'Benches', link: '/bench/' }, { text: 'Changelog', link: '/changelog' }] }
    ],
    outline: [2, 3]
  }
})
