import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { FastifyPluginAsync } from 'fastify'

const contents = `
export { createElement, StrictMode, useCallback, useEffect, useRef, useState } from 'react'
export { createRoot } from 'react-dom/client'`

/** React for browsers, as one module. It is bundled at the first request, because the packages of React are CommonJS. */
const reactModule: FastifyPluginAsync = async (app) => {
  let bundle: Promise<string> | undefined
  app.get('/react/index.js', { schema: { hide: true } }, async (_request, reply) => {
    bundle ??= build({
      stdin: { contents, resolveDir: fileURLToPath(new URL('.', import.meta.url)) },
      define: { 'process.env.NODE_ENV': '"production"' },
      format: 'esm',
      minify: true,
      bundle: true,
      write: false
    }).then(({ outputFiles }) => outputFiles[0]?.text ?? '')
    reply.type('text/javascript')
    return bundle
  })
}

export default reactModule
