// The pictures of the manual, drawn only when asked for: BREACHCLOCK_PICTURES=docs/src/images npm test

import assert from 'node:assert/strict'
import { mkdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { after, before, test } from 'node:test'
import { house } from './house.mjs'

const DIR = process.env.BREACHCLOCK_PICTURES && resolve(new URL('../..', import.meta.url).pathname, process.env.BREACHCLOCK_PICTURES)
const LARGEST = 150 * 1024
const POLICY = `
[[policy.step]]
at = "start+1h"
notify = ["role:dpo"]
[[policy.step]]
at = "50%"
notify = ["rota:oncall", "role:dpo"]
[[policy.step]]
at = "due-6h"
notify = ["rota:oncall", "role:dpo"]
repeat = "1h"
`

let h, admin, incident
const hours = n => new Date(Date.now() - n * 3600e3).toISOString()

before(async () => {
  if (!DIR) return
  mkdirSync(DIR, { recursive: true })
  h = await house({ extra: POLICY })
  admin = await h.admin()
  await h.report(admin, {
    title: 'Substation network down', entity: 'grid-it',
    facts: { significant: true, 'times.aware': hours(20), 'times.detected': hours(20) }
  })
  await h.report(admin, {
    title: 'Mailbox of the works council read', entity: 'acme-fr',
    facts: { personal_data: true, risk: 'risk', 'times.aware': hours(76), 'affected.FR': 40 }
  })
  incident = await h.report(admin, {
    title: 'Customer database on a paste site', entity: 'acme-fr',
    facts: { personal_data: true, 'times.aware': hours(9), 'affected.FR': 12000 }
  })
})
after(async () => { await h?.close() })

async function draw (name, path, { who = admin, viewport = { width: 1200, height: 720 }, only } = {}) {
  const storageState = await who.context.storageState()
  const context = await h.browser.newContext({ viewport, storageState, baseURL: h.url })
  const page = await context.newPage()
  await page.goto(path)
  const file = join(DIR, name)
  await (only ? page.locator(only).first() : page).screenshot({ path: file })
  const { size } = statSync(file)
  assert.ok(size < LARGEST, `${name} has ${size} bytes`)
  await context.close()
}

/** Through the interface, as a program would. */
async function post (who, path, body) {
  const cookie = (await who.context.cookies()).map(c => `${c.name}=${c.value}`).join('; ')
  const headers = { cookie, 'content-type': 'application/json', 'sec-fetch-site': 'same-origin' }
  const answer = await fetch(`${h.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
  assert.equal(answer.status, 200, await answer.text())
}

test('pictures for the manual', { skip: !DIR }, async () => {
  await draw('board.png', '/')
  await draw('incident.png', `/incidents/${incident.id}`)
  const of = one => encodeURIComponent(one.obligations.find(o => o.duty === 'eu-gdpr-33-authority').id)
  await draw('obligation.png', `/obligations/${of(incident)}`)
  await draw('report.png', '/report', { viewport: { width: 390, height: 844 } })
  await draw('what-if.png', `/incidents/${incident.id}/what-if?risk=high&encrypted=no`)
  const max = await h.join(admin, { login: 'max', name: 'Max Imum', role: 'approver' })
  const facts = { personal_data: true, risk: 'risk', encrypted: true, 'affected.FR': 12 }
  const laptop = await h.report(admin, { title: 'Laptop left on a train', entity: 'acme-fr', facts: { ...facts, 'times.aware': hours(67) } })
  await post(max, `/api/v1/obligations/${of(laptop)}/waiver`, {
    reason: 'The disk is encrypted and the key was not with it: a risk is unlikely, Art. 33(1).',
    second_approver: 'ada', inputs: ['encrypted', 'affected.FR'], grounds: ['encrypted'], score_method: 'enisa-2013', score: '1.25', score_band: 'low'
  })
  const mail = await h.report(admin, { title: 'Mail to the wrong list', entity: 'acme-fr', facts: { ...facts, 'times.aware': hours(30) } })
  await post(max, `/api/v1/obligations/${of(mail)}/waiver`, { reason: 'Twelve colleagues, who deleted it.', reopen_when: ['affected.FR'] })
  await post(max, `/api/v1/incidents/${mail.id}/facts`, { 'affected.FR': 3400 })
  await draw('decisions.png', '/decisions', { viewport: { width: 1200, height: 860 } })
  await draw('law.png', '/law', { viewport: { width: 1200, height: 860 } })
  await draw('settings.png', '/settings', { only: '.setting:has-text("Escalation")' })
})
