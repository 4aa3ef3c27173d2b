<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="zh_CN" sourcelanguage="en">
  <context>
    <name>Limner</name>
    <message>
      <source>Pictures appear here.</source>
      <translation>画会出现在这里。</translation>
    </message>
    <message>
      <source>Canvas</source>
      <translation>画布</translation>
    </message>
    <message>
      <source>Wheel zooms, dragging moves, double click switches between fit and 100%.</source>
      <translation>滚轮缩放，拖动平移，双击在“适合窗口”与 100% 之间切换。</translation>
    </message>
    <message>
      <source>Zoom out</source>
      <translation>缩小</translation>
    </message>
    <message>
      <source>Zoom in</source>
      <translation>放大</translation>
    </message>
    <message>
      <source>Actual size</source>
      <translation>实际大小</translation>
    </message>
    <message>
      <source>Fit</source>
      <translation>适合窗口</translation>
    </message>
    <message>
      <source>What does a fox eat?</source>
      <translation>狐狸吃什么？</translation>
    </message>
    <message>
      <source>What shall appear?</source>
      <translation>想看到什么？</translation>
    </message>
    <message>
      <source>Say it in your own words, then say what should change. Or begin with one of these:</source>
      <translation>用你自己的话说出来，再说哪里要改。也可以从这几句开始：</translation>
    </message>
    <message>
      <source>Draw a red fox in the snow</source>
      <translation>画一只雪地里的红狐狸</translation>
    </message>
    <message>
      <source>Draw an owl in a forest, cartoon</source>
      <translation>画一只森林里的猫头鹰</translation>
    </message>
    <message>
      <source>Everything stays on this machine.</source>
      <translation>一切都只留在这台电脑上。</translation>
    </message>
    <message>
      <source>Conversation</source>
      <translation>对话</translation>
    </message>
    <message>
      <source>Try: {text}</source>
      <translation>试试：{text}</translation>
    </message>
    <message>
      <source>Attach pictures</source>
      <translation>添加图片</translation>
    </message>
    <message>
      <source>Say something…</source>
      <translation>说点什么…</translation>
    </message>
    <message>
      <source>Your message</source>
      <translation>你的话</translation>
    </message>
    <message>
      <source>Send</source>
      <translation>发送</translation>
    </message>
    <message>
      <source>Stop</source>
      <translation>停止</translation>
    </message>
    <message>
      <source>Pictures</source>
      <translation>图片</translation>
    </message>
    <message>
      <source>“{name}” is not a picture that Limner can read; use PNG, JPEG or WebP.</source>
      <translation>“{name}”不是 Limner 能读取的图片，请使用 PNG、JPEG 或 WebP。</translation>
    </message>
    <message>
      <source>Auto</source>
      <translation>自动</translation>
    </message>
    <message>
      <source>Auto: the director decides between words and a picture</source>
      <translation>自动：由导演决定用文字回答还是画图</translation>
    </message>
    <message>
      <source>Words</source>
      <translation>文字</translation>
    </message>
    <message>
      <source>Words: answer in words only</source>
      <translation>文字：只用文字回答</translation>
    </message>
    <message>
      <source>Picture</source>
      <translation>图画</translation>
    </message>
    <message>
      <source>Picture: draw in any case</source>
      <translation>图画：一定画出来</translation>
    </message>
    <message>
      <source>That is too long for one message; {count} characters fit.</source>
      <translation>这段话太长，一次最多 {count} 个字符。</translation>
    </message>
    <message>
      <source>Remove {name}</source>
      <translation>移除 {name}</translation>
    </message>
    <message>
      <source>At most {count} pictures can go with one message.</source>
      <translation>一次最多附上 {count} 张图片。</translation>
    </message>
    <message>
      <source>Limner made a mistake</source>
      <translation>Limner 出错了</translation>
    </message>
    <message>
      <source>Keys</source>
      <translation>快捷键</translation>
    </message>
    <message>
      <source>New line</source>
      <translation>换行</translation>
    </message>
    <message>
      <source>Send, from anywhere</source>
      <translation>在任何位置发送</translation>
    </message>
    <message>
      <source>New conversation</source>
      <translation>新对话</translation>
    </message>
    <message>
      <source>Show or hide the conversations</source>
      <translation>显示或隐藏对话列表</translation>
    </message>
    <message>
      <source>To the message field</source>
      <translation>跳到输入框</translation>
    </message>
    <message>
      <source>Inspector</source>
      <translation>查看器</translation>
    </message>
    <message>
      <source>Words or picture</source>
      <translation>文字或图画</translation>
    </message>
    <message>
      <source>Keep the seed, or let it change</source>
      <translation>锁定种子，或让它变化</translation>
    </message>
    <message>
      <source>Picture by its number</source>
      <translation>按编号看图</translation>
    </message>
    <message>
      <source>Zoom in, zoom out, fit</source>
      <translation>放大、缩小、适合窗口</translation>
    </message>
    <message>
      <source>Space</source>
      <translation>空格</translation>
    </message>
    <message>
      <source>Hold and drag to move the picture</source>
      <translation>按住并拖动以移动画面</translation>
    </message>
    <message>
      <source>Rename a conversation in the list</source>
      <translation>重命名列表中的对话</translation>
    </message>
    <message>
      <source>Delete</source>
      <translation>删除</translation>
    </message>
    <message>
      <source>Delete a conversation in the list</source>
      <translation>删除列表中的对话</translation>
    </message>
    <message>
      <source>This list</source>
      <translation>本列表</translation>
    </message>
    <message>
      <source>Your words and pictures are kept, and you can go on. Nothing was sent anywhere.</source>
      <translation>你的话和画都已保存，可以继续。没有任何内容被发送出去。</translation>
    </message>
    <message>
      <source>Where the report lies</source>
      <translation>报告的位置</translation>
    </message>
    <message>
      <source>Copy the report</source>
      <translation>复制报告</translation>
    </message>
    <message>
      <source>Show the report</source>
      <translation>打开报告</translation>
    </message>
    <message>
      <source>Go on</source>
      <translation>继续</translation>
    </message>
    <message>
      <source>A report lies on this machine:</source>
      <translation>报告保存在这台电脑上：</translation>
    </message>
    <message>
      <source>Pictures of this conversation</source>
      <translation>本次对话的图画</translation>
    </message>
    <message>
      <source>Picture {number}</source>
      <translation>第 {number} 张</translation>
    </message>
    <message>
      <source>Copy all of it</source>
      <translation>全部复制</translation>
    </message>
    <message>
      <source>Close the inspector</source>
      <translation>收起查看器</translation>
    </message>
    <message>
      <source>Say something, and every step from your words to the picture stands here.</source>
      <translation>说点什么，从你的话到成画的每一步都会列在这里。</translation>
    </message>
    <message>
      <source>How it came about</source>
      <translation>来龙去脉</translation>
    </message>
    <message>
      <source>How turn {number} came about</source>
      <translation>第 {number} 轮的来龙去脉</translation>
    </message>
    <message>
      <source>You said</source>
      <translation>你说</translation>
    </message>
    <message>
      <source>The director wrote</source>
      <translation>导演写道</translation>
    </message>
    <message>
      <source>read over</source>
      <translation>复查</translation>
    </message>
    <message>
      <source>translation</source>
      <translation>翻译</translation>
    </message>
    <message>
      <source>so it drew</source>
      <translation>所以画了</translation>
    </message>
    <message>
      <source>so it answered in words</source>
      <translation>所以用文字回答</translation>
    </message>
    <message>
      <source>Understood as</source>
      <translation>理解为</translation>
    </message>
    <message>
      <source>as written</source>
      <translation>原文</translation>
    </message>
    <message>
      <source>tidied</source>
      <translation>整理</translation>
    </message>
    <message>
      <source>your words</source>
      <translation>你的原话</translation>
    </message>
    <message>
      <source>translated</source>
      <translation>译文</translation>
    </message>
    <message>
      <source>style</source>
      <translation>风格</translation>
    </message>
    <message>
      <source>size</source>
      <translation>尺寸</translation>
    </message>
    <message>
      <source>settings</source>
      <translation>设置</translation>
    </message>
    <message>
      <source>consistency</source>
      <translation>一致性</translation>
    </message>
    <message>
      <source>seed</source>
      <translation>种子</translation>
    </message>
    <message>
      <source>length</source>
      <translation>长度</translation>
    </message>
    <message>
      <source>Rewritten</source>
      <translation>改写</translation>
    </message>
    <message>
      <source>Prompt sent</source>
      <translation>送出的提示词</translation>
    </message>
    <message>
      <source>Painted with</source>
      <translation>绘制参数</translation>
    </message>
    <message>
      <source>Models</source>
      <translation>模型</translation>
    </message>
    <message>
      <source>Timings</source>
      <translation>用时</translation>
    </message>
    <message>
      <source>auto</source>
      <translation>自动</translation>
    </message>
    <message>
      <source>words</source>
      <translation>文字</translation>
    </message>
    <message>
      <source>picture</source>
      <translation>图画</translation>
    </message>
    <message>
      <source>asked for</source>
      <translation>要求</translation>
    </message>
    <message>
      <source>you asked for a picture</source>
      <translation>你要求画图</translation>
    </message>
    <message>
      <source>you asked for words</source>
      <translation>你要求文字</translation>
    </message>
    <message>
      <source>{kept} of at most {limit} tokens</source>
      <translation>{kept} 个词元，上限 {limit}</translation>
    </message>
    <message>
      <source>steps</source>
      <translation>步数</translation>
    </message>
    <message>
      <source>guidance scale</source>
      <translation>引导系数</translation>
    </message>
    <message>
      <source>scheduler</source>
      <translation>调度器</translation>
    </message>
    <message>
      <source>negative prompt</source>
      <translation>反向提示词</translation>
    </message>
    <message>
      <source>strength</source>
      <translation>重绘强度</translation>
    </message>
    <message>
      <source>backend</source>
      <translation>后端</translation>
    </message>
    <message>
      <source>device</source>
      <translation>设备</translation>
    </message>
    <message>
      <source>dtype</source>
      <translation>精度</translation>
    </message>
    <message>
      <source>director</source>
      <translation>导演</translation>
    </message>
    <message>
      <source>painter</source>
      <translation>画师</translation>
    </message>
    <message>
      <source>first token</source>
      <translation>首个词元</translation>
    </message>
    <message>
      <source>altogether</source>
      <translation>总共</translation>
    </message>
    <message>
      <source>{count}, {reused} of them remembered</source>
      <translation>{count}，其中 {reused} 个已缓存</translation>
    </message>
    <message>
      <source>tokens read</source>
      <translation>读入词元</translation>
    </message>
    <message>
      <source>tokens written</source>
      <translation>写出词元</translation>
    </message>
    <message>
      <source>attached picture</source>
      <translation>附上的图片</translation>
    </message>
    <message>
      <source>error</source>
      <translation>错误</translation>
    </message>
    <message>
      <source>turns {numbers}: the context was full</source>
      <translation>第 {numbers} 轮：上下文已满</translation>
    </message>
    <message>
      <source>left out</source>
      <translation>略去</translation>
    </message>
    <message>
      <source>edit</source>
      <translation>修改</translation>
    </message>
    <message>
      <source>draw</source>
      <translation>画</translation>
    </message>
    <message>
      <source>protocol</source>
      <translation>协议</translation>
    </message>
    <message>
      <source>number</source>
      <translation>编号</translation>
    </message>
    <message>
      <source>file</source>
      <translation>文件</translation>
    </message>
    <message>
      <source>this picture</source>
      <translation>这张画</translation>
    </message>
    <message>
      <source>{count} left out</source>
      <translation>略去 {count} 个</translation>
    </message>
    <message>
      <source>Waking the director…</source>
      <translation>正在唤醒导演…</translation>
    </message>
    <message>
      <source>Conversations</source>
      <translation>对话</translation>
    </message>
    <message>
      <source>Save as…</source>
      <translation>另存为…</translation>
    </message>
    <message>
      <source>Saved.</source>
      <translation>已保存。</translation>
    </message>
    <message>
      <source>Show on the canvas</source>
      <translation>在画布上显示</translation>
    </message>
    <message>
      <source>Talk about it</source>
      <translation>聊聊这张画</translation>
    </message>
    <message>
      <source>Keep its seed</source>
      <translation>沿用它的种子</translation>
    </message>
    <message>
      <source>Copy</source>
      <translation>复制</translation>
    </message>
    <message>
      <source>Show in its folder</source>
      <translation>打开所在文件夹</translation>
    </message>
    <message>
      <source>The picture could not be saved there ({reason}); choose another folder.</source>
      <translation>无法保存到那里（{reason}），请换一个文件夹。</translation>
    </message>
    <message>
      <source>How this picture came about</source>
      <translation>这张画的来龙去脉</translation>
    </message>
    <message>
      <source>This picture's file is missing or damaged.</source>
      <translation>这张画的文件丢失或已损坏。</translation>
    </message>
    <message>
      <source>Painting…</source>
      <translation>正在画…</translation>
    </message>
    <message>
      <source>seed {seed}</source>
      <translation>种子 {seed}</translation>
    </message>
    <message>
      <source>Finishing the picture…</source>
      <translation>正在收尾…</translation>
    </message>
    <message>
      <source>Beginning to paint…</source>
      <translation>正要动笔…</translation>
    </message>
    <message>
      <source>a moment left</source>
      <translation>马上就好</translation>
    </message>
    <message>
      <source>Painting {step} of {total}</source>
      <translation>正在画 {step}/{total}</translation>
    </message>
    <message>
      <source>{minutes} min left</source>
      <translation>还需 {minutes} 分钟</translation>
    </message>
    <message>
      <source>Opening the library…</source>
      <translation>正在打开画库…</translation>
    </message>
    <message>
      <source>Waking the painter…</source>
      <translation>正在唤醒画师…</translation>
    </message>
    <message>
      <source>Reading…</source>
      <translation>正在读…</translation>
    </message>
    <message>
      <source>Writing…</source>
      <translation>正在写…</translation>
    </message>
    <message>
      <source>Reading it over…</source>
      <translation>正在复查…</translation>
    </message>
    <message>
      <source>{seconds} s left</source>
      <translation>还需 {seconds} 秒</translation>
    </message>
    <message>
      <source>Seed is kept: pictures stay close to each other</source>
      <translation>种子已锁定：前后的画保持相近</translation>
    </message>
    <message>
      <source>Seed changes with every message</source>
      <translation>每句话换一个种子</translation>
    </message>
    <message>
      <source>Seed</source>
      <translation>种子</translation>
    </message>
    <message>
      <source>Roll another seed</source>
      <translation>换一个种子</translation>
    </message>
    <message>
      <source>Seed kept</source>
      <translation>种子已锁定</translation>
    </message>
    <message>
      <source>Seed changes</source>
      <translation>种子会变</translation>
    </message>
    <message>
      <source>A seed is a whole number from 0 to {largest}.</source>
      <translation>种子是 0 到 {largest} 之间的整数。</translation>
    </message>
    <message>
      <source>Untitled</source>
      <translation>无标题</translation>
    </message>
    <message>
      <source>Rename</source>
      <translation>重命名</translation>
    </message>
    <message>
      <source>Director</source>
      <translation>导演</translation>
    </message>
    <message>
      <source>Painter</source>
      <translation>画师</translation>
    </message>
    <message>
      <source>asleep</source>
      <translation>休眠</translation>
    </message>
    <message>
      <source>loading</source>
      <translation>载入中</translation>
    </message>
    <message>
      <source>ready</source>
      <translation>就绪</translation>
    </message>
    <message>
      <source>busy</source>
      <translation>工作中</translation>
    </message>
    <message>
      <source>cannot be loaded</source>
      <translation>无法载入</translation>
    </message>
    <message>
      <source>Rename or delete this conversation</source>
      <translation>重命名或删除这个对话</translation>
    </message>
    <message>
      <source>Light or dark</source>
      <translation>浅色或深色</translation>
    </message>
    <message>
      <source>Language</source>
      <translation>语言</translation>
    </message>
    <message>
      <source>Like the system</source>
      <translation>跟随系统</translation>
    </message>
    <message>
      <source>Light</source>
      <translation>浅色</translation>
    </message>
    <message>
      <source>Dark</source>
      <translation>深色</translation>
    </message>
    <message>
      <source>Try again</source>
      <translation>再试一次</translation>
    </message>
    <message>
      <source>Limner said</source>
      <translation>Limner 说</translation>
    </message>
    <message>
      <source>Waiting</source>
      <translation>等待中</translation>
    </message>
    <message>
      <source>Take back</source>
      <translation>收回</translation>
    </message>
    <message>
      <source>Take this message back</source>
      <translation>收回这句话</translation>
    </message>
    <message>
      <source>Attached picture</source>
      <translation>附上的图片</translation>
    </message>
    <message>
      <source>This turn could not be finished.</source>
      <translation>这一轮没能完成。</translation>
    </message>
    <message>
      <source>Limner was closed before this turn was finished.</source>
      <translation>这一轮还没完成，Limner 就关闭了。</translation>
    </message>
    <message>
      <source>Stopped.</source>
      <translation>已停止。</translation>
    </message>
    <message>
      <source>Undo</source>
      <translation>撤销</translation>
    </message>
    <message>
      <source>Copied.</source>
      <translation>已复制。</translation>
    </message>
    <message>
      <source>“{title}” is deleted.</source>
      <translation>“{title}”已删除。</translation>
    </message>
  </context>
</TS>
