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

async function draw (name, path, { who = admin, viewport = { width: 1200, height: 900 }, scroll = '' } = {}) {
  const storageState = await who.context.storageState()
  const context = await h.browser.newContext({ viewport, storageState, baseURL: h.url })
  const page = await context.newPage()
  await page.goto(path)
  if (scroll) await page.locator(scroll).first().scrollIntoViewIfNeeded()
  const file = join(DIR, name)
  await page.screenshot({ path: file })
  const { size } = statSync(file)
  assert.ok(size < LARGEST, `${name} has ${size} bytes`)
  await context.close()
}

test('pictures for the manual', { skip: !DIR }, async () => {
  await draw('board.png', '/')
  await draw('incident.png', `/incidents/${incident.id}`)
  const notice = incident.obligations.find(o => o.duty === 'eu-gdpr-33-authority')
  await draw('obligation.png', `/obligations/${encodeURIComponent(notice.id)}`)
  await draw('report.png', '/report', { viewport: { width: 390, height: 844 } })
  await draw('what-if.png', `/incidents/${incident.id}/what-if?risk=high&personal_data=yes`)
  const max = await h.join(admin, { login: 'max', name: 'Max Imum', role: 'approver' })
  await max.page.goto(`/obligations/${encodeURIComponent(notice.id)}`)
  await max.page.click('summary >> text=Decide not to notify')
  await max.page.fill('#w2', 'ada')
  await max.page.fill('#wr', 'The dump holds test records only: no natural person is affected, Art. 33(1).')
  await max.page.click('text=Ask for approval')
  await max.page.waitForURL('**done=**')
  await draw('decisions.png', '/decisions')
  await draw('law.png', '/law', { viewport: { width: 1200, height: 1000 } })
  await draw('settings.png', '/settings', { scroll: 'text=Escalation' })
})
