import 'reflect-metadata'
import { type CallHandler, type CanActivate, Controller, type ExecutionContext, Get, HttpException, Injectable, Module, type NestInterceptor, Post, Query, Req, Res, Sse, UseGuards, UseInterceptors } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { concat, NEVER, of, tap, type Observable } from 'rxjs'
import sse, { type SSEStream } from '../../lib/index.js'

/** What happened on the server, in order. */
export const seen: string[] = []

@Injectable()
class SignedIn implements CanActivate {
  canActivate (context: ExecutionContext): boolean {
    return 'authorization' in context.switchToHttp().getRequest<FastifyRequest>().headers
  }
}

@Injectable()
class Watching implements NestInterceptor {
  intercept (context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { url } = context.switchToHttp().getRequest<FastifyRequest>()
    return next.handle().pipe(tap(() => seen.push(`handled ${url}`)))
  }
}

async function * words (stream: SSEStream) {
  for (const word of ['one', 'two']) yield word
  await new Promise((resolve) => { stream.signal.addEventListener('abort', resolve) })
  seen.push(`stopped ${stream.closeReason}`)
}

@Controller()
@UseInterceptors(Watching)
class Streams {
  @Get('hand')
  hand (@Res() reply: FastifyReply): void {
    reply.sse().subscribe('a')
  }

  @Get('guarded')
  @UseGuards(SignedIn)
  guarded (@Res() reply: FastifyReply): void {
    reply.sse().subscribe('a')
  }

  @Get('source')
  async source (@Res() reply: FastifyReply): Promise<void> {
    await reply.sse(words)
    seen.push('finally')
  }

  @Post('posted')
  posted (@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    return reply.sse([{ event: 'echo', data: request.body }])
  }

  @Get('before')
  before (@Res() reply: FastifyReply, @Query('status') status: string): void {
    if (status !== undefined) throw new HttpException('no stream', Number(status))
    reply.sse()
  }

  @Get('after')
  async after (@Res() reply: FastifyReply, @Query('status') status?: string): Promise<void> {
    const stream = reply.sse({ onDisconnect: (_request, { closeReason }) => { seen.push(`closed ${closeReason}`) } })
    for (let n = 0; n < 100; n++) stream.send(`${n}`)
    await stream.send('last')
    setImmediate(() => stream.send('late').then((taken) => seen.push(`late ${taken}`)))
    throw status === undefined ? new Error('after') : new HttpException('after', Number(status))
  }

  @Get('failing')
  failing (@Res() reply: FastifyReply): Promise<void> {
    return reply.sse(async function * () {
      yield 'one'
      throw new Error('source')
    }, { onError: ({ message }) => { seen.push(`onError ${message}`) } })
  }

  @Get('passed')
  passed (@Res({ passthrough: true }) reply: FastifyReply): void {
    reply.sse().subscribe('a')
  }

  @Sse('nest')
  nest (): Observable<{ data: string }> {
    return concat(of({ data: 'nest' }), NEVER)
  }
}

@Module({ controllers: [Streams] })
class AppModule {}

/** A Nest app with the plugin, which is not listening yet. */
export async function makeNestApp (): Promise<NestFastifyApplication> {
  const app = await NestFactory.create<NestFastifyApplication>(AppModule, new FastifyAdapter({ forceCloseConnections: true }), { logger: ['fatal'] })
  await app.register(sse)
  app.getHttpAdapter().getInstance().sseRoute('/route', { topics: ['a'] })
  return app
}
