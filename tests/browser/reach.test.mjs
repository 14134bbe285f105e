// Pages for everybody: by keyboard, without scripts, in the dark, for whoever may see only a part.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { PASSWORD, PHONE, accessible, house, quiet } from './house.mjs'

let h, admin
before(async () => {
  h = await house()
  admin = await h.admin()
  const aware = new Date(Date.now() - 1800e3).toISOString()
  await h.report(admin, { title: 'French secret', entity: 'acme-fr', facts: { personal_data: true, 'times.aware': aware } })
  await h.report(admin, { title: 'Italian outage', entity: 'grid-it', facts: { significant: true, 'times.aware': aware } })
})
after(async () => { await h?.close() })

const PAGES = ['/', '/incidents', '/decisions', '/report', '/evidence', '/people', '/readiness', '/account', '/sheet', '/law/changes', '/access', '/settings']

test('a client of one entity sees nothing of another', async () => {
  const client = await h.join(admin, { login: 'rosa', name: 'Rosa Rete', role: 'approver', entity: 'grid-it' })
  for (const path of PAGES) {
    await client.page.goto(path)
    const text = await client.page.textContent('body')
    assert.ok(!/French secret|Acme SAS|acme-fr|CNIL/.test(text), `${path} shows another entity`)
  }
  await client.page.goto('/')
  assert.match(await client.page.textContent('main'), /Italian outage/)
  await admin.page.goto('/incidents')
  await admin.page.click('text=French secret')
  const answer = await client.page.goto(new URL(admin.page.url()).pathname)
  assert.equal(answer.status(), 404)
  assert.ok(!/French/.test(await client.page.textContent('body')))
  quiet(client)
})

test('every page in light and dark, wide and narrow', async () => {
  const state = await admin.context.storageState()
  for (const [viewport, dark] of [[PHONE, true], [{ width: 320, height: 700 }, false], [{ width: 1440, height: 900 }, true]]) {
    const context = await h.browser.newContext({ viewport, colorScheme: dark ? 'dark' : 'light', storageState: state, baseURL: h.url })
    const page = await context.newPage()
    for (const path of PAGES) {
      await page.goto(path)
      await accessible({ page }, `${path} at ${viewport.width} px${dark ? ', dark' : ''}`)
    }
    await context.close()
  }
})

test('without scripts: report, read, answer, take', async () => {
  const state = await admin.context.storageState()
  const context = await h.browser.newContext({ javaScriptEnabled: false, storageState: state, baseURL: h.url })
  const page = await context.newPage()
  await page.goto('/report')
  await page.fill('#t', 'Reported without scripts')
  await page.click('text=Open the incident')
  await page.waitForURL('**/incidents/**')
  assert.match(await page.textContent('main'), /Reported without scripts/)
  await page.click('#facts summary >> text=Add a fact')
  await page.fill('#fk', 'personal_data')
  await page.fill('#value', 'yes')
  await page.click('text=Assert the fact')
  await page.waitForLoadState()
  assert.match(await page.textContent('#facts'), /Personal data\s*yes/i)
  await page.goto('/')
  await page.click('main a >> text=/CNIL|supervisory|authority/i >> nth=0')
  await page.click('button >> text=I have it')
  await page.waitForLoadState()
  assert.match(await page.textContent('#take'), /ada/i)
  await context.close()
})

test('by keyboard alone: log in, report, come back', async () => {
  const who = await h.person()
  const { page } = who
  await page.goto('/login')
  const tabTo = async (selector, most = 40) => {
    for (let n = 0; n < most; n++) {
      if (await page.evaluate(wanted => document.activeElement?.matches(wanted), selector)) return
      await page.keyboard.press('Tab')
    }
    assert.fail(`Tab does not reach ${selector} on ${page.url()}`)
  }
  await tabTo('#login')
  await page.keyboard.type('ada')
  await tabTo('#password')
  await page.keyboard.type(PASSWORD)
  await page.keyboard.press('Enter')
  await page.waitForURL(`${h.url}/`)
  await tabTo('a[href="/report"]')
  await page.keyboard.press('Enter')
  await page.waitForURL('**/report')
  await tabTo('#t')
  await page.keyboard.type('By keyboard')
  await tabTo('input[name=personal]')
  await page.keyboard.press('ArrowRight')
  await tabTo('.stickybtn button')
  // what has the focus can be seen to have it
  const ring = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle)
  assert.notEqual(ring, 'none')
  await page.keyboard.press('Enter')
  await page.waitForURL('**/incidents/**')
  assert.match(await page.textContent('h1'), /By keyboard/)
  quiet(who)
})
