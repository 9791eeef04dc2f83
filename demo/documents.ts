import swagger from '@fastify/swagger'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'

/** The versions of OpenAPI that the routes are described in. */
export const VERSIONS = ['3.0.3', '3.1.0', '3.2.0'] as const
export type Version = typeof VERSIONS[number]

/** What is read here of an OpenAPI document. */
export interface Document {
  paths: Record<string, Record<string, Operation>>
}

interface Operation {
  summary?: string
  responses: Record<string, { content?: Record<string, object> }>
}

interface BuildDocument {
  (): Document
  (options: { yaml: true }): string
}

// Swagger UI reads the document that is called `swagger`; it shows less of 3.2, whose events it does not know.
const decoratorOf = (version: Version) => version === '3.1.0' ? 'swagger' : `swagger ${version}`

/** Where a document is served: `/openapi/3.2.json`. */
export const pathOf = (version: Version) => `/openapi/${version.slice(0, 3)}.json`

/** What builds an app's document of one version: once, when it is first asked for. The app has to be ready by then. */
export function documentOf (app: FastifyInstance, version: Version): BuildDocument {
  return app.getDecorator<BuildDocument>(decoratorOf(version))
}

/** Describes the routes that are registered after it in each version, and serves the documents. */
const documents: FastifyPluginAsync = async (app) => {
  for (const version of VERSIONS) {
    await app.register(swagger, {
      decorator: decoratorOf(version),
      openapi: {
        openapi: version,
        info: { title: 'fastify-sse-routes examples', description: 'Event streams that are described by their routes.', version: '1.0.0' },
        components: { securitySchemes: { session: { type: 'apiKey', in: 'cookie', name: 'session' } } }
      }
    })
    app.get(pathOf(version), { schema: { hide: true } }, async () => documentOf(app, version)())
  }
}

export default fastifyPlugin(documents)
