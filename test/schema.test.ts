import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import { load as parse } from 'js-yaml'
import { loadConfig } from '../lib/config.ts'
import type { PluginRegistries } from '../lib/discovery.ts'
import { configSchema, duration, size } from '../lib/schema.ts'
import { endpointType, load, registries, withParameters } from './config/support.ts'

function compile(found: PluginRegistries = registries()): ValidateFunction {
  // As editors have it: draft 7, without any keyword of ours.
  return new Ajv({ allErrors: true, strict: true, strictTypes: false, strictRequired: false }).compile(
    configSchema(found),
  )
}

function errorsOf(yaml: string, found?: PluginRegistries): string[] {
  const validate = compile(found)
  validate(parse(yaml))
  return (validate.errors ?? []).map(({ instancePath, keyword }: ErrorObject) => `${instancePath} ${keyword}`)
}

const ENTRY = '/plugins/araldo.endpoints.endpoint/0'

describe('the JSON Schema of a whole config', () => {
  it('is draft 7, and has no keyword that editors do not know', () => {
    const schema = configSchema(registries())
    assert.equal(schema['$schema'], 'http://json-schema.org/draft-07/schema#')
    assert.doesNotMatch(JSON.stringify(schema), /"unit"/)
  })

  it('describes every key', () => {
    const missing: string[] = []
    const visit = (schema: unknown, path: string): void => {
      if (Array.isArray(schema)) schema.forEach((each, index) => visit(each, `${path}/${index}`))
      if (typeof schema !== 'object' || schema === null) return
      const { properties } = schema as { properties?: Record<string, { description?: string }> }
      if (properties !== undefined && path.startsWith('/properties/global')) {
        for (const [key, value] of Object.entries(properties))
          if (value.description === undefined) missing.push(`${path}/${key}`)
      }
      for (const [key, value] of Object.entries(schema)) visit(value, `${path}/${key}`)
    }
    visit(configSchema(registries()), '')
    assert.deepEqual(missing, [])
  })

  it('takes what loads', async () => {
    for (const yaml of [
      'global:\nplugins:\nroutes:\n',
      'global: { server-port: "${PORT:-1}", log-level: "${LEVEL:-info}", shutdown-timeout: "${T:-5s}" }\n',
      withParameters('url: x\nbuffer: 1MiB\ntimeout: 5\nchannels: [a]\ntls: { ca: x, verify: true }\nlabels: { a: b }'),
      withParameters('url: x\nretries: "${R:-3}"\nmode: "${M:-fast}"\nbuffer: "${B:-1MiB}"')
        .replaceAll('"', "'")
        .replaceAll("'", ''),
      withParameters('url: x').replace(
        '[e]',
        '[{ to: e, when: body.a, topic: "a.{key}", headers: { a: b }, optional: true, may-loop: true }]',
      ),
      withParameters('url: x').replace(
        '[e]',
        `[{ to: e, wiretap: true, may-loop: true, expire: 30s, dedupe: true, split: body, throttle: 5 }]`,
      ),
      withParameters('url: x').replace(
        '[e]',
        `[{ to: e, may-loop: true, expire: { after: "\${T:-1s}" }, dedupe: { key: topic, window: 1m, size: 5 },
          split: { list: body, max: 5 }, throttle: { rate: "\${R:-5}", per: 1s, by: key, burst: 2, excess: drop } }]`,
      ),
      withParameters('url: x').replace(
        '[e]',
        '[{ to: e, may-loop: true, steps: [{ when: body.a }, { throttle: 5 }, { headers: { a: b } }] }]',
      ),
    ]) {
      await load(yaml)
      assert.deepEqual(errorsOf(yaml), [], yaml)
    }
  })

  it('refuses unknown keys at every level', () => {
    for (const [yaml, path] of [
      ['globl: {}\n', ''],
      ['global: { sever-port: 1 }\n', '/global'],
      ['plugins: { araldo.endpoint: [] }\n', '/plugins'],
      [withParameters('url: x\nchanel: y'), ENTRY],
      [withParameters('url: x\ntls: { ca: x, cas: x }'), `${ENTRY}/tls`],
      [withParameters('url: x\nnested: { deep: 1 }'), `${ENTRY}/nested`],
      ['routes: { a: [{ to: b, wen: x }] }\n', '/routes/a/0'],
      ['routes: { a: [{ to: b, steps: [{ wen: x }] }] }\n', '/routes/a/0/steps/0'],
      ['routes: { a: [{ to: b, throttle: { rat: 5 } }] }\n', '/routes/a/0/throttle'],
    ] as const) {
      assert.ok(errorsOf(yaml).includes(`${path} additionalProperties`), `${yaml}\n${errorsOf(yaml).join('\n')}`)
    }
  })

  it('knows what each type takes', () => {
    assert.ok(errorsOf(withParameters('url: x\nretries: 10')).includes(`${ENTRY}/retries maximum`))
    assert.ok(errorsOf(withParameters('url: x\nbuffer: 5 parsecs')).includes(`${ENTRY}/buffer pattern`))
    assert.ok(errorsOf(withParameters('')).includes(`${ENTRY} anyOf`))
    assert.deepEqual(errorsOf(withParameters('channel: x', 'endpoint-mock')), [])
    assert.ok(errorsOf(withParameters('url: x', 'endpoint-mock')).includes(`${ENTRY} additionalProperties`))
  })

  it('knows the ids, and takes paths and packages', () => {
    assert.ok(errorsOf(withParameters('', 'endpoint-nothing')).includes(`${ENTRY}/id anyOf`))
    assert.deepEqual(errorsOf(withParameters('any: thing', './my-endpoint.js')), [])
    assert.deepEqual(errorsOf(withParameters('any: thing', 'araldo-foo')), [])
  })

  it("has a type's own references within the type", async () => {
    const found = registries()
    found.endpoints.add(
      endpointType('endpoint-tree', {
        $id: 'https://example.com/tree',
        type: 'object',
        properties: { at: { $ref: '#/definitions/node' } },
        definitions: {
          node: { type: 'object', properties: { x: size(), next: { $ref: '#/definitions/node' } } },
        },
      }),
      'the test',
    )
    assert.deepEqual(errorsOf(withParameters('at: { next: { x: 1MiB } }', 'endpoint-tree'), found), [])
    assert.ok(
      errorsOf(withParameters('at: { next: { y: 1 } }', 'endpoint-tree'), found).includes(
        `${ENTRY}/at/next additionalProperties`,
      ),
    )
    const { endpoints } = await loadConfig(withParameters('at: { next: { x: 1MiB } }', 'endpoint-tree'), found)
    assert.deepEqual(endpoints[0]?.options, { at: { next: { x: 1048576 } } })
    await assert.rejects(loadConfig(withParameters('at: { next: { y: 1 } }', 'endpoint-tree'), found), {
      message: /endpoint 'e': at: next: unknown key 'y'; its keys are 'x' and 'next'/,
    })
  })
})

describe('size and duration', () => {
  it('are schemas that any validator understands', () => {
    const { unit: _unit, ...schema } = size({ default: '64KiB', minimum: 1024, description: 'A buffer.' })
    const validate = new Ajv({ allowUnionTypes: true }).compile(schema)
    assert.ok(validate('1MiB') && validate(2048))
    assert.ok(!validate(5) && !validate('5x') && !validate(1.5) && !validate(true))
    assert.equal(schema['default'], '64KiB')
    assert.equal(schema['description'], 'A buffer.')
  })

  it('keep to what a timer can hold', () => {
    assert.equal(duration()['maximum'], 2 ** 31 - 1)
    assert.equal(duration({ maximum: 5 })['maximum'], 5)
  })
})
