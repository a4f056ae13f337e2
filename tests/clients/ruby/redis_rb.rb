# redis-rb, one connection for each thread. See ../README.md.
require "digest"
require "redis"

host, port, password, = ARGV
WORKERS = 4
SCRIPT = "return {redis.call('INCR', KEYS[1]), ARGV[1]}"
DIGEST = Digest::SHA1.hexdigest(SCRIPT)
$stdout.sync = true
Thread.report_on_exception = false

# Without a second try, which it makes by itself and tells nobody: a closed connection has to show.
connect = -> { Redis.new(host: host, port: port.to_i, password: password, db: 1, id: "unnoticed", reconnect_attempts: 0, timeout: 20) }

def must(what, is, should)
  raise "#{what}: #{is.inspect} instead of #{should.inspect}" unless is == should
end

# One error ends the whole program.
def guarded
  Thread.new do
    yield
  rescue StandardError, ScriptError => error
    warn "#{error.class}: #{error.message}", error.backtrace
    exit! 1
  end
end

over = false
taken = []
heard_at = nil
rounds = Array.new(WORKERS, 0)

workers = WORKERS.times.map do |number|
  guarded do
    redis = connect.call
    key = "w#{number}:"
    until over
      turn = rounds[number] += 1
      value = "#{key}#{turn}"
      must "SET", redis.set("#{key}k", value), "OK"
      must "GET", redis.get("#{key}k"), value
      must "INCR", redis.incr("#{key}n"), turn
      pipeline = redis.pipelined { |pipe| pipe.set("#{key}p", value); pipe.get("#{key}p"); pipe.echo(value); pipe.incr("#{key}m") }
      must "pipeline", pipeline, ["OK", value, value, turn]
      transaction = redis.multi { |multi| multi.incr("#{key}t"); multi.set("#{key}b", value); multi.get("#{key}b") }
      must "transaction", transaction, [turn, "OK", value]
      begin
        counted = redis.evalsha(DIGEST, ["#{key}s"], [value])
      rescue Redis::CommandError => error
        raise unless error.message.start_with?("NOSCRIPT")
        counted = redis.eval(SCRIPT, ["#{key}s"], [value])
      end
      must "script", counted, [turn, value]
      redis.lpush("list", value)
      redis.publish("news", value)
      sleep 0.002
    end
  end
end

consumer = guarded do
  redis = connect.call
  loop do
    _, element = redis.brpop("list", timeout: 1)
    if element
      taken << element
    elsif over
      break
    end
  end
end

guarded do
  connect.call.subscribe("news") { |on| on.message { heard_at = Process.clock_gettime(Process::CLOCK_MONOTONIC) } }
end

guarded do
  redis = connect.call
  sleep 0.02 until redis.exists?("stop")
  asked = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  over = true
  (workers + [consumer]).each(&:join)
  pushed = WORKERS.times.flat_map { |number| (1..rounds[number]).map { |turn| "w#{number}:#{turn}" } }
  must "elements taken", taken.sort, pushed.sort
  raise "the subscriber does not hear any more" unless heard_at && heard_at > asked - 2
end.join
puts rounds.join(" ")
exit! 0
