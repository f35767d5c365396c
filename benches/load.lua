-- The requests that wrk sends, for `load.py`. What is sent is chosen by the environment:
--   MODE    read | create | update | etcd_put | etcd_range
--   TOKEN   bearer token (Covault modes)
--   PREFIX  what names begin with; a name is the prefix and eight digits
--   FIRST   number of the first name that is written
--   KEY_SPACE how many names there are: reads choose at random, updates go round
--   STOP    answers after which the run ends (0: when its time is up)
--
-- Writes count up, so one thread (-t1) sends every name once. Knows nothing of what is compared.

local mode = os.getenv("MODE") or "read"
local token = os.getenv("TOKEN") or ""
local prefix = os.getenv("PREFIX") or "bench/"
local first = tonumber(os.getenv("FIRST") or "0")
local names = tonumber(os.getenv("KEY_SPACE") or "1")
local stop = tonumber(os.getenv("STOP") or "0")

-- 256 bytes, and the same in base64.
local value = string.rep("v", 256)
local value64 = string.rep("dnZ2", 85) .. "dg=="

local bearer = { ["Authorization"] = "Bearer " .. token }
local bearer_json = { ["Authorization"] = "Bearer " .. token, ["Content-Type"] = "application/json" }
local json = { ["Content-Type"] = "application/json" }

-- wrk asks for one request at its start that it does not send.
local sent, answered, refused = -1, 0, 0

local function name(number)
  return string.format("%s%08d", prefix, number)
end

-- Twelve characters of the base64 alphabet stand for nine bytes, so a key needs no encoding.
local function key64(number)
  return string.format("keys%08d", number)
end

local function next_number()
  local number = first + sent
  sent = sent + 1
  return number
end

local makers = {
  read = function()
    return wrk.format("GET", "/v1/secrets/" .. name(math.random(0, names - 1)), bearer)
  end,
  create = function()
    local body = '{"name":"' .. name(next_number()) .. '","value":"' .. value .. '"}'
    return wrk.format("POST", "/v1/secrets", bearer_json, body)
  end,
  update = function()
    local path = "/v1/secrets/" .. name(next_number() % names)
    return wrk.format("PUT", path, bearer_json, '{"value":"' .. value .. '"}')
  end,
  etcd_put = function()
    local body = '{"key":"' .. key64(next_number()) .. '","value":"' .. value64 .. '"}'
    return wrk.format("POST", "/v3/kv/put", json, body)
  end,
  etcd_range = function()
    local body = '{"key":"' .. key64(math.random(0, names - 1)) .. '","serializable":true}'
    return wrk.format("POST", "/v3/kv/range", json, body)
  end,
}

local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("seed", os.time() + 7919 * threads)
end

function init(_)
  math.randomseed(seed)
end

request = makers[mode]

-- With a response function wrk reads every answer whole, which costs it time: for loading only.
if stop > 0 then
  function response(status, _, _)
    answered = answered + 1
    if status < 200 or status > 299 then
      refused = refused + 1
    end
    if answered == stop then
      io.write(string.format('RESULT {"requests":%d,"bad_status":%d}\n', answered, refused))
      io.flush()
      os.exit(0)
    end
  end
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"seconds":%.6f,"p50_ms":%.4f,"p99_ms":%.4f,"bad_status":%d,"socket_errors":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
