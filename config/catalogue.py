"""Every code of a configuration finding, with what ``yaosu explain CODE`` says about it.

Codes are append-only: a code is never given another meaning and never removed, because people search for it
and scripts match it. Up to E009 they are about the file, E010 to E019 about its shape, from E020 about sense.
"""

from dataclasses import dataclass
from types import MappingProxyType

from config.model import Text


@dataclass(frozen=True, slots=True)
class Entry:
    """One code: its title, what it means and an example of the remedy."""

    code: str
    title: Text
    explanation: Text
    remedy: Text


def _entry(code: str, *texts: str) -> Entry:
    title_en, title_zh, explanation_en, explanation_zh, remedy_en, remedy_zh = texts
    return Entry(
        code,
        title=Text(en=title_en, zh=title_zh),
        explanation=Text(en=explanation_en, zh=explanation_zh),
        remedy=Text(en=remedy_en, zh=remedy_zh),
    )


_ENTRIES = (
    _entry(
        "E001",
        "file cannot be read",
        "无法读取文件",
        "The file is missing, is a folder, is larger than 32 MiB, or this user may not read it.",
        "文件不存在、是目录、大于 32 MiB，或当前用户无权读取。",
        "Check the path given with -c, and the owner and mode of the file: ls -l FILE",
        "检查 -c 给出的路径以及文件的属主和权限：ls -l FILE",
    ),
    _entry(
        "E002",
        "file is not UTF-8",
        "文件不是 UTF-8 编码",
        "A TOML file is UTF-8 text. Editors on Windows may save it as GBK or UTF-16.",
        "TOML 文件必须是 UTF-8 文本。Windows 上的编辑器可能存成 GBK 或 UTF-16。",
        "Convert it: iconv -f GBK -t UTF-8 gateway.toml > new.toml",
        "转换编码：iconv -f GBK -t UTF-8 gateway.toml > new.toml",
    ),
    _entry(
        "E003",
        "not valid TOML",
        "TOML 语法错误",
        "The text breaks the grammar of TOML 1.0 at this place, or a key or table is written twice.",
        "此处不符合 TOML 1.0 语法，或者键、表重复定义。",
        'Text goes in quotes: name = "room"; a list of tables begins with [[instrument]].',
        '文本须加引号：name = "room"；表数组以 [[instrument]] 开头。',
    ),
    _entry(
        "E010",
        "missing key",
        "缺少必填键",
        "The table has no value for a key that has no default.",
        "该表缺少一个没有默认值的键。",
        'Add the key to the table that is named: port = "/dev/ttyUSB0"',
        '在所指的表中补上该键：port = "/dev/ttyUSB0"',
    ),
    _entry(
        "E011",
        "wrong type",
        "类型错误",
        "The value has another type than the key asks for. Nothing is converted: '5' in quotes is text.",
        "值的类型与键的要求不符。不做自动转换：带引号的 '5' 是文本。",
        'Write unit_id = 5, not unit_id = "5".',
        '应写 unit_id = 5，而不是 unit_id = "5"。',
    ),
    _entry(
        "E012",
        "unknown key",
        "未知的键",
        "The table knows no such key. An ignored key would be a setting that silently has no effect.",
        "该表没有这个键。若忽略它，设置就会无声地失效。",
        "Correct the spelling (poll_interval_s, not pol_interval_s) or move the key to its own table.",
        "改正拼写（poll_interval_s 而不是 pol_interval_s），或把键移到它所属的表。",
    ),
    _entry(
        "E013",
        "out of range",
        "超出范围",
        "The number is below the smallest or above the largest value allowed, or is not finite.",
        "数值小于下限、大于上限，或者不是有限数。",
        "Choose a value within the limits in the message: tcp_port = 502",
        "在提示的范围内取值：tcp_port = 502",
    ),
    _entry(
        "E014",
        "malformed text",
        "文本格式不符",
        "The text is too short, too long, or contains characters that this key does not allow.",
        "文本过短、过长，或含有该键不允许的字符。",
        'Instrument ids are like "room-temp-1", channel names like "temp_c".',
        '仪器编号形如 "room-temp-1"，通道名形如 "temp_c"。',
    ),
    _entry(
        "E015",
        "not one of the allowed values",
        "不在允许值之列",
        "The key takes one of a fixed list of values; the message lists them.",
        "该键只能取固定几个值之一，提示中已列出。",
        'parity = "even"',
        'parity = "even"',
    ),
    _entry(
        "E016",
        "wrong number of items",
        "元素个数不符",
        "The array has fewer or more items than this key takes.",
        "数组的元素过少或过多。",
        "A pair of limits has two items: range = [15.0, 25.0]",
        "一对限值有两个元素：range = [15.0, 25.0]",
    ),
    _entry(
        "E017",
        "date-time without offset",
        "日期时间缺少时区偏移",
        "A point in time without its offset from UTC could mean many different instants.",
        "没有 UTC 偏移的时间可以指许多不同的时刻。",
        "valid_to = 2026-12-31T23:59:59+08:00",
        "valid_to = 2026-12-31T23:59:59+08:00",
    ),
    _entry(
        "E018",
        "secret in the file",
        "配置文件中出现密钥",
        "Configuration files are copied, hashed and recorded. A secret stays outside; they only name it.",
        "配置文件会被复制、计算散列并写入记录。密钥须放在文件之外，文件中只写名称。",
        'password = { credential = "mqtt-password" }, and the secret in a file of that name with mode 0600',
        'password = { credential = "mqtt-password" }，密钥写入同名文件，权限 0600',
    ),
    _entry(
        "E019",
        "invalid value",
        "无效的值",
        "The value has the right type but is not acceptable for the reason in the message.",
        "值的类型正确，但由于提示中的原因不可接受。",
        "Correct the value as the message says.",
        "按提示改正该值。",
    ),
    _entry(
        "E020",
        "settings contradict one another",
        "设置互相矛盾",
        "Each value is acceptable by itself, but together they cannot hold.",
        "各个值单独可以接受，但不能同时成立。",
        "Change one of the values named in the message.",
        "修改提示中的某一个值。",
    ),
    _entry(
        "E021",
        "duplicate name",
        "名称重复",
        "Two things of one kind carry the same id or name, so that their data could not be told apart.",
        "同类的两项使用了相同的编号或名称，其数据将无法区分。",
        "Rename one of them.",
        "给其中一项改名。",
    ),
    _entry(
        "E022",
        "overlapping serial port or address",
        "串口或地址冲突",
        "Two instruments claim one serial port with different line settings, or one unit number on one line.",
        "两台仪器以不同的线路参数占用同一串口，或在同一条线上使用同一站号。",
        "Give instruments of one line the same baud rate and parity, and different unit numbers.",
        "同一条线上的仪器应使用相同的波特率和校验位，且站号不同。",
    ),
    _entry(
        "E023",
        "impossible limits",
        "限值不可能成立",
        "No reading could ever satisfy these limits, or the instrument can never reach them.",
        "没有任何读数能满足这些限值，或仪器永远达不到这些限值。",
        "Put the lower limit first and keep limits inside the measuring range: range = [15.0, 25.0]",
        "下限在前，并使限值落在量程之内：range = [15.0, 25.0]",
    ),
    _entry(
        "E024",
        "expired or impossible date",
        "日期已过期或不可能成立",
        "A validity has ended, has not begun, or ends before it begins.",
        "有效期已过、尚未开始，或结束早于开始。",
        "Enter the dates of the certificate in force.",
        "填写现行有效证书的日期。",
    ),
    _entry(
        "E025",
        "reference to something unknown",
        "引用了不存在的项",
        "The file names an instrument, channel or element that it does not define.",
        "文件引用了未定义的仪器、通道或要素。",
        "Define it, or correct the name.",
        "补充定义，或改正名称。",
    ),
    _entry(
        "E026",
        "credential not available",
        "取不到凭据",
        "The credential that the file names was neither passed by systemd nor found as a 0600 file.",
        "文件所引用的凭据既未由 systemd 传入，也没有对应的 0600 文件。",
        "Write the secret to the named file and run: chmod 600 FILE",
        "把密钥写入所指文件，并执行：chmod 600 FILE",
    ),
    _entry(
        "E027",
        "network port claimed twice",
        "网络端口重复占用",
        "Two roles of one machine want to listen at the same address and port.",
        "同一台机器上的两个角色要监听同一地址和端口。",
        "Change one of the two ports.",
        "修改其中一个端口。",
    ),
    _entry(
        "E028",
        "file or device not found",
        "找不到文件或设备",
        "A file, folder or device that the configuration names is not on this machine.",
        "配置所指的文件、目录或设备在本机上不存在。",
        "Check the path; serial lines keep one name under /dev/serial/by-id/.",
        "检查路径；串口在 /dev/serial/by-id/ 下有固定名称。",
    ),
    _entry(
        "E040",
        "line overloaded",
        "总线过载",
        "The polls of the instruments on one line ask for more time than the line has, or leave too little "
        "of it for repetitions.",
        "同一条线路上各仪器的轮询所需时间超过线路的能力，或没有为重试留出余量。",
        "Poll less often, read fewer values, raise the baud rate, or put some instruments on a second line.",
        "降低轮询频率、减少读取的数值、提高波特率，或把部分仪器移到另一条线路。",
    ),
    _entry(
        "E041",
        "time is shorter than the poll interval",
        "时间设置短于轮询间隔",
        "The registry lets a reading be less old than it is between two polls, or takes a rate over less.",
        "登记信息允许的读数时效或变化率窗口短于两次轮询之间的时间。",
        "Make staleness_s several times the interval of the channel, or poll the channel more often.",
        "将 staleness_s 设为该通道轮询间隔的数倍，或提高轮询频率。",
    ),
    _entry(
        "E060",
        "example of a profile does not come true",
        "设备配置模板的示例不成立",
        "The bytes of an [[examples]] table are no exchange, or do not decode to the values that it states.",
        "[[examples]] 中的字节不构成一次请求与应答，或者解码结果与所写的值不符。",
        "Compare bytes, address, type, order and scale with the document: yaosu profile plausible BYTES",
        "对照说明书检查字节、地址、类型、字节序和倍率：yaosu profile plausible 字节",
    ),
    _entry(
        "E061",
        "address may be a register number",
        "地址可能是寄存器编号",
        "Addresses count from 0, as they go over the wire. Documents often number registers from 1, or write "
        "30001 and 40001 for the first of a table. One register off still gives numbers that look right.",
        "地址从 0 起算，与线路上传输的一致。说明书常从 1 编号，或用 30001、40001 表示表中第一个寄存器。"
        "差一个寄存器读出的数仍可能看似合理。",
        "Subtract 1 (or 30001, 40001), or prove the address by an [[examples]] table with its request.",
        "减去 1（或 30001、40001），或用写明请求字节的 [[examples]] 证明该地址。",
    ),
    _entry(
        "E062",
        "profile without a source",
        "设备配置模板缺少来源",
        "Nobody can check a register map without the document that it was taken from.",
        "没有出处的寄存器表无法核对。",
        'source = "User Guide M211060EN-L, appendix Modbus reference"',
        'source = "用户手册 M211060EN-L，附录 Modbus 参考"',
    ),
    _entry(
        "E063",
        "channels share registers",
        "通道占用相同的寄存器",
        "Two values take some of the same registers: one of the two addresses or types is probably wrong.",
        "两个数值占用了部分相同的寄存器：其中一个的地址或类型很可能有误。",
        "A 32-bit value takes two addresses, a 64-bit value four: compare with the document.",
        "32 位数值占两个地址，64 位数值占四个：请对照说明书。",
    ),
    _entry(
        "E064",
        "zero cannot be told from failure",
        "无法区分零值与故障",
        "A 16-bit integer has no code of its own for 'no value'. A device that answers 0 when its sensor "
        "failed looks as if it measured 0.",
        "16 位整数没有表示“无值”的专用编码。传感器故障时回 0 的设备，看起来就像测得了 0。",
        "Name the device's code: sentinels = [0x8000]; use its float registers; or add a flat-line rule.",
        "写明设备的无值编码：sentinels = [0x8000]；改读浮点寄存器；或加平直线规则。",
    ),
)

CATALOGUE = MappingProxyType({entry.code: entry for entry in _ENTRIES})
"""Code to entry, in the order of the codes."""
