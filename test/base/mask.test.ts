import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { maskFields, secretKeys } from '../../src/base/mask.js'
import { createRuntime } from '../../src/runtime.js'
import { createRecordingLogger } from '../runtime/support/log.js'

const isSecret = secretKeys()

describe('masking', () => {
  it('replaces what stands under the name of a secret, at any depth, and leaves the rest', () => {
    const fields = {
      taskId: 't',
      password: 'hunter2',
      request: { headers: { Authorization: 'Bearer abc', accept: 'json' }, list: [{ apiKey: 'k', id: 7 }] },
      cookies: ['a', 'b'],
    }
    expect(maskFields(fields, isSecret)).toEqual({
      taskId: 't',
      password: '[masked]',
      request: { headers: { Authorization: '[masked]', accept: 'json' }, list: [{ apiKey: '[masked]', id: 7 }] },
      cookies: '[masked]',
    })
    expect(fields.password).toBe('hunter2')
  })

  it('leaves numbers: tokens of a budget and of a fence are none', () => {
    const fields = { fencingToken: 4, spent: { token: 400 }, isSecret: true, text: 'token=12, tokens: 7' }
    expect(maskFields(fields, isSecret)).toBe(fields)
  })

  it.each([
    ['connect failed: password=hunter2&user=me', 'connect failed: password=[masked]&user=me'],
    ['{"apiKey":"sk-1 2","id":"7"}', '{"apiKey":"[masked]","id":"7"}'],
    ['Authorization: Bearer abc.def, accept: json', 'Authorization: [masked], accept: json'],
    ["client_secret = 'a b' in x", "client_secret = '[masked]' in x"],
    ['no answer from postgres://me:hunter2@db:5432/x?a=1', 'no answer from postgres://me:[masked]@db:5432/x?a=1'],
    ['redis://:a@b@host and https://host:80/a@b', 'redis://:[masked]@host and https://host:80/a@b'],
    ['at token (file.ts:3:4)', 'at token (file.ts:3:4)'],
  ])('replaces values in texts: %s', (text, shown) => {
    expect(maskFields({ error: text, cause: { stack: text } }, isSecret)).toEqual({
      error: shown,
      cause: { stack: shown },
    })
  })

  it('goes by a pattern of the caller, with state or without', () => {
    const own = secretKeys(/^ssn$/g)
    for (let count = 0; count < 3; count += 1) {
      expect(maskFields({ ssn: '1-2', password: 'seen' }, own)).toEqual({ ssn: '[masked]', password: 'seen' })
    }
  })

  it('takes as long as a text is, whatever it holds', () => {
    for (const part of ['a', 'a:', '"', 'token="\\', 'a.b-', ' ']) {
      const text = part.repeat(200_000)
      const startedAt = performance.now()
      maskFields({ text: `${text}:=` }, isSecret)
      expect(performance.now() - startedAt).toBeLessThan(2000)
    }
  })

  it('never throws and never changes what it is given', () => {
    fc.assert(
      fc.property(fc.object({ withNullPrototype: true, maxDepth: 10 }), (fields) => {
        const before = JSON.stringify(fields)
        maskFields(fields, isSecret)
        expect(JSON.stringify(fields)).toBe(before)
      }),
    )
  })
})

describe('the logger of a runtime', () => {
  const fails = async (options: { readonly mask?: RegExp }) => {
    const logger = createRecordingLogger()
    await using runtime = await createRuntime({ logger, ...options })
    runtime.tasks.handle('work', () => {
      throw new Error('refused: password=hunter2 ssn=1-2')
    })
    await runtime.tasks.outcome(await runtime.tasks.submit({ kind: 'work' }))
    return JSON.stringify(logger.lines)
  }

  it('is told no secrets; the stack and the outcome stay', async () => {
    const told = await fails({})
    expect(told).toContain('password=[masked] ssn=1-2')
    expect(told).not.toContain('hunter2')
    expect(told).toContain('mask.test')
  })

  it('goes by the pattern of the options', async () => {
    const told = await fails({ mask: /ssn/ })
    expect(told).toContain('password=hunter2 ssn=[masked]')
  })

  it('takes nothing else for a pattern', async () => {
    await expect(createRuntime({ mask: 'password' as never })).rejects.toMatchObject({ code: 'invalid_input' })
  })
})
