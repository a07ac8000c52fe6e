import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { launchChromium, needChromium } from '../support/chromium.ts'
import { startMosquitto } from '../support/mosquitto.ts'
import { freePort } from '../support/port.ts'
import { runOrThrow, startProcess } from '../support/process.ts'
import { find, need } from '../support/require.ts'
import { until } from '../support/wait.ts'

describe('example/sensors', { skip: need('mosquitto', 'mosquitto_pub') || needChromium() }, () => {
  test('what mosquitto_pub publishes is on the page', async (t) => {
    const broker = await startMosquitto({ t })
    const port = await freePort()
    const example = await startProcess({
      command: process.execPath,
      args: ['--import', 'tsx', 'example/sensors/server.ts'],
      env: { PORT: String(port), MQTT_URL: broker.url },
      ready: /Ctrl-C ends it/,
      t,
    })
    await until(async () => (await fetch(`http://localhost:${port}/health/ready`)).status === 200)
    const page = await (await launchChromium({ t })).newPage()
    await page.goto(`http://localhost:${port}/`)
    await page.getByText('connected').waitFor()
    const publish = (topic: string, payload: string): Promise<string> =>
      runOrThrow(find('mosquitto_pub'), ['-p', String(broker.port), '-t', topic, '-m', payload])
    await publish('sensors/kitchen/temperature', '21.5')
    await publish('sensors/kitchen/temperature', '22')
    await publish('sensors/hall/door', '"open <b>"')
    await page.locator('dl > div', { hasText: 'kitchen · temperature' }).getByText('22', { exact: true }).waitFor()
    await page.locator('dl > div', { hasText: 'hall · door' }).getByText('open <b>').waitFor()
    assert.equal(await page.locator('dl > div').count(), 2)
    assert.equal((await example.stop('SIGINT')).code, 0)
  })
})
