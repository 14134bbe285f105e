// For those who decide and oversee: suppose other facts, decide what waits, read the law, the settings, and who came in.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { DESK, NARROWEST, accessible, house, quiet, until } from './house.mjs'
import { keyboard } from './keyboard.mjs'

let h, admin, incident, obligation
before(async () => {
  h = await house()
  admin = await h.admin()
  incident = await h.report(admin, {
    title: 'Laptop left on a train', entity: 'acme-fr',
    facts: { personal_data: true, risk: 'risk', 'times.aware': new Date(Date.now() - 3600e3).toISOString(), 'affected.FR': 12, encrypted: true }
  })
  obligation = incident.obligations.find(o => o.duty === 'eu-gdpr-33-authority')
})
after(async () => { await h?.close() })

test('what if: from a question to a form that asserts, without scripts', async () => {
  const who = await h.person({ as: admin, scripts: false })
  const { page } = who
  await page.goto(`/incidents/${incident.id}`)
  await page.click('text=What if…')
  assert.match(await page.textContent('.simbar'), /Nothing here is saved, nobody is told/)
  await page.goto(`/incidents/${incident.id}/what-if?risk=`)
  const field = page.locator('[name="risk"]').first()
  if (await field.evaluate(element => element.tagName) === 'SELECT') await field.selectOption('high')
  else await page.locator('[name="risk"][value="high"]').check({ force: true })
  await page.click('button >> text=Calculate')
  await page.waitForURL('**risk=high**')
  assert.match(await page.textContent('h1'), /What if risk: high\?/)
  assert.match(await page.textContent('#diff'), /Would (run|apply)/)
  // looking changed nothing
  await admin.page.goto(`/incidents/${incident.id}`)
  assert.ok(!/high, estimated/.test(await admin.page.textContent('#facts')))
  await page.click('text=Assert “Risk: high”…')
  assert.equal(await page.inputValue('#fk'), 'risk')
  assert.equal(await page.inputValue('#value'), 'high')
  await page.click('text=Assert the fact')
  await page.waitForLoadState()
  assert.match(await page.textContent('#facts'), /Risk\s*high/)
  await h.everywhere(admin, [`/incidents/${incident.id}/what-if`, `/incidents/${incident.id}/what-if?risk=risk&encrypted=no&affected.FR=1200`])
  const wrong = await admin.page.goto(`/incidents/${incident.id}/what-if?risk=purple`)
  assert.equal(wrong.status(), 422)
  await accessible(admin, 'a supposition that cannot be')
  quiet(admin, who)
})

test('the queue: one proposes, one refuses, then agrees; the proposer withdraws', async () => {
  const max = await h.join(admin, { login: 'max', name: 'Max Imum', role: 'approver' })
  const eve = await h.join(admin, { login: 'eve', name: 'Eve Adams', role: 'approver' })
  await eve.page.goto('/decisions')
  assert.match(await eve.page.textContent('main'), /No decision waits/)
  await accessible(eve, 'an empty queue')
  const propose = async () => {
    await max.page.goto(`/obligations/${encodeURIComponent(obligation.id)}`)
    await max.page.click('summary >> text=Decide not to notify')
    await max.page.fill('#wr', 'The disk is encrypted and the key was not with it: Art. 33(1).')
    await max.page.fill('#w2', 'eve')
    await max.page.click('text=Ask for approval')
    await until(async () => /waiting for a second person/.test(await max.page.textContent('main')))
  }
  await propose()
  await max.page.goto('/decisions')
  assert.equal(await max.page.locator('text=Approve: record').count(), 0)
  await eve.page.goto('/')
  await eve.page.click('nav >> text=Decisions')
  await accessible(eve, 'a queue with a decision')
  await eve.page.click('summary >> text=Refuse it')
  await accessible(eve, 'the form that refuses')
  await eve.page.fill('#d0w', 'The key was in the bag.')
  await eve.page.click('text=Record that it is taken back')
  await until(async () => /No decision waits/.test(await eve.page.textContent('main')))
  await propose()
  await h.everywhere(eve, ['/decisions'])
  await max.page.goto('/decisions')
  await max.page.click('summary >> text=Withdraw it')
  await max.page.fill('#d0w', 'The wrong paragraph.')
  await max.page.click('text=Record that it is taken back')
  await until(async () => /taken back/.test(await max.page.textContent('.note.done')))
  await propose()
  await eve.page.goto('/decisions')
  await eve.page.click('text=Approve: record that this is not notified')
  await until(async () => /approved and on record/.test(await eve.page.textContent('main')))
  await eve.page.goto(`/incidents/${incident.id}`)
  await eve.page.click('summary >> text=Everything in order')
  assert.match(await eve.page.textContent('main'), /refused: The key was in the bag/)
  quiet(max, eve)
})

test('who may not decide sees no queue, no settings and no access', async () => {
  const kim = await h.join(admin, { login: 'kim', name: 'Kim Ode', role: 'responder' })
  await kim.page.goto('/')
  const links = await kim.page.locator('nav a').allTextContents()
  assert.ok(!links.some(link => ['Decisions', 'Settings', 'Access'].includes(link)), links.join())
  for (const path of ['/decisions', '/settings', '/access']) {
    const answer = await kim.page.goto(path)
    assert.equal(answer.status(), 403, path)
    await accessible(kim, `${path} refused`)
    assert.match(await kim.page.textContent('h1'), /Not permitted/)
  }
  quiet(kim)
})

test('the law: a map by keyboard, a search, a duty with its worked cases', async () => {
  const { page } = admin
  await page.goto('/law')
  await (await keyboard(admin)).follow(/^FR: France: /)
  assert.equal(new URL(page.url()).searchParams.get('place'), 'FR')
  assert.match(await page.textContent('h1'), /France/)
  await page.click('summary >> text=/more of EU/')
  await page.click('main a[href="/law/eu-gdpr-33-authority"]')
  assert.match(await page.textContent('main'), /72 hours/)
  await page.locator('section >> text=Worked cases').first().waitFor()
  // the page of the map has thousands of elements
  await h.everywhere(admin, ['/law'], [DESK, NARROWEST])
  await h.everywhere(admin, ['/law?place=DE', '/law?q=nonsense', '/law/eu-gdpr-33-authority'])
  quiet(admin)
})

test('settings without secrets, and who came in', async () => {
  await h.everywhere(admin, ['/access?kind=account&who=eve'])
  await admin.page.goto('/settings')
  const text = await admin.page.textContent('main')
  assert.match(text, /127\.0\.0\.1/)
  assert.match(text, /when the clock starts/)
  await admin.page.goto('/access')
  assert.match(await admin.page.textContent('main'), /Account made: approver/)
  await admin.page.fill('input[name=who]', 'kim')
  await admin.page.click('text=Apply')
  await admin.page.waitForURL('**who=kim**')
  assert.match(await admin.page.textContent('main'), /Not permitted: GET \/settings/)
  quiet(admin)
})

test('a page that lost its server says as of when it is', async () => {
  const { page, context } = await h.person({ as: admin })
  await page.goto('/')
  assert.equal(await page.locator('#lost').isVisible(), false)
  await context.setOffline(true)
  await page.evaluate(() => globalThis.dispatchEvent(new globalThis.Event('offline')))
  await page.locator('#lost').waitFor({ state: 'visible', timeout: 20_000 })
  assert.match(await page.textContent('#lost'), /as of \w{3} \d+ \w{3}, \d\d:\d\d/)
  await accessible({ page }, 'a page without its server')
  await context.close()
})
